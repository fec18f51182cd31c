//! The documents: every relative link leads to a file and a heading that exist, and every document
//! can be reached from the README. Links to other hosts are not followed: no test needs the network.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use percent_encoding::percent_decode_str;

/// Folders that hold what others wrote, or what a run leaves behind.
const NOT_OURS: [&str; 3] = ["target", "node_modules", "data"];

fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    root.to_owned()
}

/// All documents of the repository, by their paths from its root.
fn documents() -> BTreeMap<PathBuf, String> {
    fn walk(root: &Path, folder: &Path, found: &mut BTreeMap<PathBuf, String>) {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap_or_default();
            let path = folder.join(&name);
            let kind = entry.file_type().unwrap();
            if kind.is_dir() && !name.starts_with('.') && !NOT_OURS.contains(&name.as_str()) {
                walk(root, &path, found);
            } else if kind.is_file() && path.extension() == Some(OsStr::new("md")) {
                let text = std::fs::read_to_string(root.join(&path)).unwrap();
                found.insert(path, text);
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(&root(), Path::new(""), &mut found);
    found
}

/// The lines outside of fenced code, with their numbers.
fn prose(text: &str) -> Vec<(usize, &str)> {
    let mut fence: Option<&str> = None;
    let mut lines = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let start = line.trim_start();
        let mark = ["```", "~~~"].into_iter().find(|m| start.starts_with(m));
        match (fence, mark) {
            (None, Some(mark)) => fence = Some(mark),
            (Some(open), Some(mark)) if open == mark => fence = None,
            (None, None) => lines.push((index + 1, line)),
            _ => {}
        }
    }
    lines
}

/// Takes code spans out of a line: what stands in them is no link.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("``")
}

/// The targets of links and pictures: `](target)`, `](target "title")`, `](<target>)` and
/// `[name]: target`.
fn targets(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in prose(text) {
        let line = without_code(line);
        for (_, after) in line
            .match_indices("](")
            .map(|(at, m)| line.split_at(at + m.len()))
        {
            let inside = match after.strip_prefix('<') {
                Some(quoted) => quoted.split('>').next(),
                None => after.split([')', ' ']).next(),
            };
            found.push((number, inside.unwrap_or_default().to_owned()));
        }
        let definition = line
            .trim_start()
            .strip_prefix('[')
            .and_then(|l| l.split_once("]: "));
        if let Some((name, target)) = definition.filter(|(name, _)| !name.contains(']')) {
            assert!(!name.is_empty(), "line {number}: a link without a name");
            let target = target.split_whitespace().next().unwrap_or_default();
            found.push((number, target.to_owned()));
        }
    }
    found
}

/// The anchors of a document's headings, as GitHub makes them: lower case, only letters, digits,
/// `_`, `-` and spaces stay, spaces become `-`, and a repeated one gets a number.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut seen = BTreeMap::<String, usize>::new();
    let mut found = BTreeSet::new();
    for (_, line) in prose(text) {
        let title = line.trim_start_matches('#');
        let level = line.len() - title.len();
        if !(1..=6).contains(&level) || !title.starts_with(' ') {
            continue;
        }
        let anchor: String = shown(title.trim())
            .to_lowercase()
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | ' '))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect();
        let before = seen.entry(anchor.clone()).or_default();
        found.insert(match *before {
            0 => anchor,
            n => format!("{anchor}-{n}"),
        });
        *before += 1;
    }
    found
}

/// A heading as it is shown: of a link only the words.
fn shown(title: &str) -> String {
    let mut text = String::new();
    let mut rest = title;
    while let Some((before, after)) = rest.split_once("](") {
        text.push_str(&before.replacen('[', "", 1));
        rest = after.split_once(')').map_or("", |(_, rest)| rest);
    }
    text + rest
}

/// Where a relative target leads from a document: the path from the root, and the anchor.
fn resolve(document: &Path, target: &str) -> Result<(PathBuf, Option<String>), &'static str> {
    let target = percent_decode_str(target).decode_utf8_lossy().into_owned();
    let (path, anchor) = match target.split_once('#') {
        Some((path, anchor)) => (path, Some(anchor.to_owned())),
        None => (target.as_str(), None),
    };
    if path.is_empty() {
        return Ok((document.to_owned(), anchor));
    }
    let mut resolved = document.parent().unwrap_or(Path::new("")).to_owned();
    for part in Path::new(path).components() {
        match part {
            Component::CurDir => {}
            Component::Normal(name) => resolved.push(name),
            Component::ParentDir if resolved.pop() => {}
            _ => return Err("leads out of the repository"),
        }
    }
    Ok((resolved, anchor))
}

fn is_elsewhere(target: &str) -> bool {
    let scheme = target.split_once(':').map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| scheme.chars().all(|c| c.is_ascii_alphabetic()))
}

/// What is wrong with a link, and where it leads if nothing is.
fn follow(
    documents: &BTreeMap<PathBuf, String>,
    document: &Path,
    target: &str,
) -> Result<PathBuf, String> {
    let (path, anchor) = resolve(document, target)?;
    if !root().join(&path).exists() {
        return Err("there is no such file".to_owned());
    }
    let Some(anchor) = anchor else {
        return Ok(path);
    };
    let text = documents.get(&path);
    let text = text.ok_or("an anchor in what is no document")?;
    if anchors(text).contains(&anchor) {
        Ok(path)
    } else {
        Err("there is no such heading".to_owned())
    }
}

#[test]
fn every_relative_link_leads_somewhere() {
    let documents = documents();
    let mut wrong = Vec::new();
    let mut followed = 0;
    for (document, text) in &documents {
        for (line, target) in targets(text).into_iter().filter(|(_, t)| !is_elsewhere(t)) {
            followed += 1;
            if let Err(why) = follow(&documents, document, &target) {
                wrong.push(format!("{}:{line}: {target}: {why}", document.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(followed > 50, "only {followed} links were found");
}

#[test]
fn every_document_can_be_reached_from_the_readme() {
    let documents = documents();
    let mut reached = BTreeSet::new();
    let mut ahead = vec![PathBuf::from("README.md")];
    while let Some(path) = ahead.pop() {
        if !reached.insert(path.clone()) {
            continue;
        }
        let Some(text) = documents.get(&path) else {
            // A folder shows what is in it.
            let inside = documents.keys().filter(|d| d.parent() == Some(&path));
            ahead.extend(inside.cloned());
            continue;
        };
        for (_, target) in targets(text).into_iter().filter(|(_, t)| !is_elsewhere(t)) {
            ahead.extend(follow(&documents, &path, &target).ok());
        }
    }
    let lost: Vec<_> = documents.keys().filter(|d| !reached.contains(*d)).collect();
    assert!(lost.is_empty(), "nothing leads to {lost:?}");
}

#[test]
fn links_and_anchors_are_read_as_github_reads_them() {
    let text = "# One, `two` & _three_\n\
        ## A [link](other.md) of Ω\n\
        ## Twice\n\
        ## Twice\n\
        #no heading\n\
        ```sh\n# no heading [no](link.md)\n```\n\
        see [a](b.md#c), ![p](<d e.png>) and `[no](link.md)`, [t](f.md \"title\")\n\
        [r]: g.md\n";
    let expected = ["one-two--_three_", "a-link-of-ω", "twice", "twice-1"];
    assert_eq!(anchors(text), expected.map(str::to_owned).into());
    let targets: Vec<_> = targets(text)
        .into_iter()
        .map(|(_, target)| target)
        .collect();
    assert_eq!(targets, ["other.md", "b.md#c", "d e.png", "f.md", "g.md"]);
    let document = Path::new("docs/page.md");
    let resolved = |target| resolve(document, target).map(|(path, _)| path);
    assert_eq!(resolved("../a%20b.md"), Ok(PathBuf::from("a b.md")));
    assert_eq!(resolved("#here"), Ok(document.to_owned()));
    assert_eq!(resolved("../../x.md"), Err("leads out of the repository"));
    assert_eq!(resolved("/etc/passwd"), Err("leads out of the repository"));
    assert!(is_elsewhere("https://example.com") && !is_elsewhere("a.md#b:c"));

    let documents = BTreeMap::from([(PathBuf::from("README.md"), "# Here\n".to_owned())]);
    let follow = |target| follow(&documents, Path::new("README.md"), target);
    assert!(follow("#here").is_ok() && follow("LICENSE").is_ok());
    assert_eq!(follow("#there"), Err("there is no such heading".to_owned()));
    assert_eq!(follow("none.md"), Err("there is no such file".to_owned()));
}
