//! The catalogue as a page for people: `docs/catalogue.md`.

use super::entry::{Entry, Shape};
use super::param::Param;

const HEAD: &str = "\
# The catalogue

Every question that can be asked, generated from the entries in `schema/catalog`. An implementation
may add its own; `bigbrotr query` lists those of yours. The same question with the same parameters
gets the same bytes from `bigbrotr query`, from REST (paths below `/v1`) and from the data vending
machine (`i` is the name, `param` tags are the parameters).

An answer is `{\"data\": …, \"meta\": {\"query\", \"params\", \"as_of\", \"next\"?}}`: `as_of` is the moment
that the statistics describe (Unix seconds), `next` goes into the parameter `cursor` for the next
page of a list. An error is `{\"error\": {\"code\", \"message\", \"param\"?}}`.

";

/// Writes the page.
pub fn document<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> String {
    let mut entries: Vec<&Entry> = entries.into_iter().collect();
    entries.sort_by_key(|entry| &entry.name);
    let mut page = HEAD.to_owned();
    page.push_str("| question | REST | answer |\n|---|---|---|\n");
    for entry in &entries {
        let (name, anchor) = (&entry.name, entry.name.replace('.', ""));
        let line = format!(
            "| [`{name}`](#{anchor}) | `{}` | {} |\n",
            entry.path,
            shape(entry)
        );
        page.push_str(&line);
    }
    page.push_str("| `catalog` | `/catalog` | all of these, as JSON |\n");
    for entry in entries {
        page.push_str(&section(entry));
    }
    page
}

fn shape(entry: &Entry) -> &'static str {
    match entry.shape {
        Shape::Row => "one object",
        Shape::List => "a list, in pages",
    }
}

fn section(entry: &Entry) -> String {
    let mut text = format!("\n## {}\n\n{}\n\n", entry.name, entry.help);
    text.push_str(&format!("`GET /v1{}`\n", entry.path));
    if entry.params.is_empty() {
        return text;
    }
    text.push_str("\n| parameter | values | if not given | |\n|---|---|---|---|\n");
    for param in &entry.params {
        text.push_str(&format!(
            "| `{}` | {} | {} | {} |\n",
            param.name,
            param.kind,
            absent(param),
            param.help
        ));
    }
    text
}

fn absent(param: &Param) -> String {
    match &param.default {
        Some(default) => format!("`{default}`"),
        None if param.optional => "no condition".to_owned(),
        None => "an error".to_owned(),
    }
}
