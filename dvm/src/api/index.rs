//! The page at `/`: what can be asked, for humans. It loads nothing from anywhere.

use std::fmt::Write as _;

use bigbrotr_schema::catalog::{CATALOG, Entry, Param};
use warp::http::header;
use warp::http::header::HeaderValue;

use super::answer::{Answer, HTML};
use super::routes::PREFIX;

const HEAD: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>BigBrotr</title>
<style>
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; }
code { font: .9em ui-monospace, monospace; }
section { border-top: 1px solid #8884; padding: .75rem 0; }
h2 { font-size: 1.05rem; margin: 0; }
p { margin: .25rem 0; }
table { border-collapse: collapse; font-size: .9rem; margin-top: .5rem; }
td { padding: .1rem 1rem .1rem 0; vertical-align: top; }
.soft { opacity: .75; }
</style>
</head>
<body>
<h1>BigBrotr</h1>
<p>Questions about Nostr that this node answers, as JSON. The same questions can be asked over
Nostr, as NIP-90 jobs, with the same answers.</p>
<p class="soft">For programs: <a href="/openapi.json">openapi.json</a>,
<a href="/v1/catalog">the catalogue</a>. For operators: <a href="/health/live">live</a>,
<a href="/health/ready">ready</a>.</p>
"#;

/// Nothing may be loaded, run or framed.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";

/// Writes the page.
pub(super) fn page<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Answer {
    let mut html = HEAD.to_owned();
    section(
        &mut html,
        CATALOG,
        "All questions, with their parameters.",
        CATALOG_PATH,
        &[],
    );
    for entry in entries {
        section(
            &mut html,
            &entry.name,
            &entry.help,
            &entry.path,
            &entry.params,
        );
    }
    html.push_str("</body>\n</html>\n");
    Answer::page(HTML, html).with(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(POLICY),
    )
}

const CATALOG_PATH: &str = "/catalog";

fn section(html: &mut String, name: &str, help: &str, path: &str, params: &[Param]) {
    let path = escape(&format!("{PREFIX}{path}"));
    let needs_value = params.iter().any(|p| !p.optional && p.default.is_none());
    let link = if needs_value {
        format!("<code>{path}</code>")
    } else {
        format!("<a href=\"{path}\"><code>{path}</code></a>")
    };
    let (name, help) = (escape(name), escape(help));
    // Writing to a String cannot fail.
    write!(
        html,
        "<section>\n<h2>{name}</h2>\n<p>{help}</p>\n<p>{link}</p>\n"
    )
    .unwrap_or_default();
    if !params.is_empty() {
        html.push_str("<table>\n");
        for param in params {
            row(html, param);
        }
        html.push_str("</table>\n");
    }
    html.push_str("</section>\n");
}

fn row(html: &mut String, param: &Param) {
    let default = match &param.default {
        Some(default) => format!("default {default}"),
        None if param.optional => "optional".to_owned(),
        None => "required".to_owned(),
    };
    writeln!(
        html,
        "<tr><td><code>{}</code></td><td>{}</td><td>{}</td><td>{}</td></tr>",
        escape(&param.name),
        escape(&param.help),
        escape(&param.kind.to_string()),
        escape(&default),
    )
    .unwrap_or_default();
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_listed_linked_and_escaped() {
        let text = "-- name: a.b\n-- help: less < more & \"so\"\n-- path: /a\n\
                    -- param w: window = all; w\nselect 1";
        let linked = Entry::parse("a", text).unwrap();
        let text = "-- name: c.get\n-- help: c\n-- path: /c/{u}\n-- param u: relay; u\nselect 1";
        let unlinked = Entry::parse("c", text).unwrap();
        let html = page([&linked, &unlinked]).body.into_owned();
        assert!(html.contains("<a href=\"/v1/a\"><code>/v1/a</code></a>"));
        assert!(html.contains("<a href=\"/v1/catalog\">"));
        assert!(html.contains("<p><code>/v1/c/{u}</code></p>"));
        assert!(html.contains("less &lt; more &amp; &quot;so&quot;"));
        assert!(!html.contains("http://") && !html.contains("https://"));
    }
}
