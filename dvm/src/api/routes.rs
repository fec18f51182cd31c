//! From a path to what it asks: the catalogue's entries by their own paths, and a few pages.

use std::borrow::Cow;

use bigbrotr_schema::catalog::{CATALOG, CatalogError, Entry};
use percent_encoding::percent_decode_str;

use super::BindError;
use crate::question::refuse;

/// Where the catalogue begins.
pub(super) const PREFIX: &str = "/v1";

/// Where the files of the page are.
pub(super) const FILES: &str = "/page/";

/// What can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route<'a> {
    /// The page, for humans.
    Page,
    /// The list of questions, for humans.
    Docs,
    /// The same for programs.
    OpenApi,
    /// What the page wants to know of this node.
    Node,
    /// A file of the page, by what follows its folder.
    File(&'a str),
    /// Whether the process is there.
    Live,
    /// Whether it does its work.
    Ready,
    /// A question, and the part of the path that holds its parameters.
    Question(&'a Template),
    /// Nothing.
    Unknown,
}

impl Route<'_> {
    /// Names the route from a closed set, for logs and metrics.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Page => "page",
            Self::Docs => "docs",
            Self::OpenApi => "openapi",
            Self::Node => "node",
            Self::File(_) => "file",
            Self::Live => "health.live",
            Self::Ready => "health.ready",
            Self::Question(template) => &template.query,
            Self::Unknown => "unknown",
        }
    }

    /// Says which allowance a request is counted against.
    pub(super) fn allowance(&self) -> Allowance {
        match self {
            Self::Live | Self::Ready => Allowance::None,
            Self::Page | Self::Docs | Self::OpenApi | Self::Node | Self::File(_) => {
                Allowance::Pages
            }
            Self::Question(_) | Self::Unknown => Allowance::Questions,
        }
    }
}

/// What each client has so many of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Allowance {
    /// Without limit: for those that look after us.
    None,
    /// What is ready in memory. A page of a dozen files leaves its reader the questions.
    Pages,
    /// What asks the database, and guesses at paths.
    Questions,
}

/// An entry's path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    pub(super) query: String,
    segments: Vec<Segment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Literal(String),
    Param(String),
}

/// All paths.
#[derive(Debug)]
pub(super) struct Routes {
    templates: Vec<Template>,
}

impl Routes {
    /// Takes the paths of these entries and of the catalogue itself.
    ///
    /// # Errors
    /// [`BindError::Path`] when a path makes no sense or is another entry's too.
    pub(super) fn new<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Result<Self, BindError> {
        let mut templates = vec![Template {
            query: CATALOG.to_owned(),
            segments: vec![Segment::Literal(CATALOG.to_owned())],
        }];
        for entry in entries {
            let fail = |reason: String| BindError::Path {
                entry: entry.name.clone(),
                path: entry.path.clone(),
                reason,
            };
            let template = Template::parse(entry).map_err(fail)?;
            if let Some(other) = templates.iter().find(|other| other.collides(&template)) {
                return Err(fail(format!("{} has this path", other.query)));
            }
            templates.push(template);
        }
        // A literal wins over a parameter in the same place.
        templates.sort_by_key(|template| {
            let is_param = |segment: &Segment| matches!(segment, Segment::Param(_));
            template.segments.iter().map(is_param).collect::<Vec<_>>()
        });
        Ok(Self { templates })
    }

    /// Finds what a path asks for. The path is as the client wrote it, percent-encoded.
    pub(super) fn find<'a>(&'a self, path: &'a str) -> Route<'a> {
        match path {
            "/" => return Route::Page,
            "/docs" => return Route::Docs,
            "/openapi.json" => return Route::OpenApi,
            "/node.json" => return Route::Node,
            "/health/live" => return Route::Live,
            "/health/ready" => return Route::Ready,
            _ => {}
        }
        if let Some(file) = path.strip_prefix(FILES) {
            return Route::File(file);
        }
        let Some(rest) = path.strip_prefix(PREFIX).and_then(|p| p.strip_prefix('/')) else {
            return Route::Unknown;
        };
        let parts: Vec<&str> = rest.split('/').collect();
        self.templates
            .iter()
            .find(|template| template.matches(&parts))
            .map_or(Route::Unknown, Route::Question)
    }
}

impl Template {
    fn parse(entry: &Entry) -> Result<Self, String> {
        let path = entry.path.strip_prefix('/').ok_or("it begins with no /")?;
        let segments = path
            .split('/')
            .map(|part| {
                let name = part.strip_prefix('{').and_then(|p| p.strip_suffix('}'));
                match name {
                    None if part.is_empty() => Err("a part is empty".to_owned()),
                    None => Ok(Segment::Literal(part.to_owned())),
                    Some(name) if entry.param(name).is_none() => {
                        Err(format!("{name} is no parameter"))
                    }
                    Some(name) => Ok(Segment::Param(name.to_owned())),
                }
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            query: entry.name.clone(),
            segments,
        })
    }

    /// Says whether two templates match exactly the same paths.
    fn collides(&self, other: &Self) -> bool {
        self.segments.len() == other.segments.len()
            && self
                .segments
                .iter()
                .zip(&other.segments)
                .all(|pair| match pair {
                    (Segment::Literal(a), Segment::Literal(b)) => a == b,
                    (Segment::Param(_), Segment::Param(_)) => true,
                    _ => false,
                })
    }

    fn matches(&self, parts: &[&str]) -> bool {
        self.segments.len() == parts.len()
            && self
                .segments
                .iter()
                .zip(parts)
                .all(|(segment, part)| match segment {
                    Segment::Literal(literal) => is_same(literal, part),
                    Segment::Param(_) => !part.is_empty(),
                })
    }

    /// Reads the parameters of a path that matches.
    ///
    /// # Errors
    /// [`CatalogError::InvalidParam`] when one is not UTF-8.
    pub(super) fn params(&self, path: &str) -> Result<Vec<(String, String)>, CatalogError> {
        let parts = path
            .strip_prefix(PREFIX)
            .unwrap_or(path)
            .trim_start_matches('/')
            .split('/');
        let mut params = Vec::new();
        for (segment, part) in self.segments.iter().zip(parts) {
            if let Segment::Param(name) = segment {
                let value = percent_decode_str(part)
                    .decode_utf8()
                    .map(Cow::into_owned)
                    .map_err(|_invalid| refuse(name, "expected percent-encoded UTF-8"))?;
                params.push((name.clone(), value));
            }
        }
        Ok(params)
    }
}

/// Compares a literal with a part as the client wrote it: a letter may come percent-encoded
/// (RFC 3986, 6.2.2.2).
fn is_same(literal: &str, part: &str) -> bool {
    literal == part
        || (part.contains('%') && percent_decode_str(part).eq(literal.as_bytes().iter().copied()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, path: &str) -> Entry {
        let text = format!(
            "-- name: {name}\n-- help: h\n-- path: {path}\n-- param url: relay?; u\nselect 1"
        );
        Entry::parse(name, &text).unwrap()
    }

    fn routes(entries: &[(&str, &str)]) -> Result<Routes, BindError> {
        let entries: Vec<Entry> = entries.iter().map(|(n, p)| entry(n, p)).collect();
        Routes::new(&entries)
    }

    #[test]
    fn paths_lead_to_entries_and_literals_win() {
        let routes = routes(&[
            ("relays.get", "/relays/{url}"),
            ("relays.list", "/relays"),
            ("relays.best", "/relays/best"),
            ("relays.history", "/relays/{url}/history"),
        ])
        .unwrap();
        for (path, name) in [
            ("/", "page"),
            ("/docs", "docs"),
            ("/node.json", "node"),
            ("/page/0123/app.js", "file"),
            ("/page", "unknown"),
            ("/health/live", "health.live"),
            ("/health/ready", "health.ready"),
            ("/openapi.json", "openapi"),
            ("/v1/catalog", "catalog"),
            ("/v1/relays", "relays.list"),
            ("/v1/relays/best", "relays.best"),
            ("/v1/%72elays", "relays.list"),
            ("/v1/relays%2Fbest", "unknown"),
            ("/v1/relays/b%65st", "relays.best"),
            ("/v1/relays/wss%3A%2F%2Fx.example%2Fa", "relays.get"),
            ("/v1/relays/wss%3A%2F%2Fx.example/history", "relays.history"),
            ("/v1/relays/", "unknown"),
            ("/v1/relays/wss://x.example", "unknown"),
            ("/v1", "unknown"),
            ("/v1relays", "unknown"),
            ("/relays", "unknown"),
            ("*", "unknown"),
        ] {
            assert_eq!(routes.find(path).name(), name, "{path}");
        }
    }

    #[test]
    fn parameters_in_paths_are_percent_decoded() {
        let routes = routes(&[("relays.history", "/relays/{url}/history")]).unwrap();
        let params = |path| {
            let Route::Question(template) = routes.find(path) else {
                panic!("{path} is no question");
            };
            template.params(path)
        };
        let found = params("/v1/relays/wss%3a%2F%2Fx.example%2Fa+b/history").unwrap();
        let expected = ("url".to_owned(), "wss://x.example/a+b".to_owned());
        assert_eq!(found, [expected]);
        let error = params("/v1/relays/%ff/history").unwrap_err();
        assert_eq!(error.code(), "invalid_param");
    }

    #[test]
    fn paths_that_make_no_sense_are_refused_at_start() {
        for entries in [
            &[("a", "a")][..],
            &[("a", "/a//b")],
            &[("a", "/a/{nope}")],
            &[("a", "/a/{url}"), ("b", "/a/{url}")],
            &[("a", "/catalog")],
        ] {
            assert!(routes(entries).is_err(), "{entries:?}");
        }
    }
}
