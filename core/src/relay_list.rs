//! Lists of relays in text files: `seed_relays.txt`, `priority_relays.txt`.
//!
//! One URL per line; blank lines and `#` comments, whole or after a space, are passed over.
//! Parses text only; reading files is the caller's.

use std::collections::HashSet;

use crate::relay_url::{RelayUrl, RelayUrlError, UrlPolicy};

/// What a list holds.
#[derive(Debug, Clone, Default)]
pub struct RelayList {
    /// The relays in the order of the file, each once.
    pub urls: Vec<RelayUrl>,
    /// How many lines repeat a relay, in the same or another spelling.
    pub duplicates: usize,
    /// The lines that are no relay URL.
    pub rejected: Vec<RejectedLine>,
}

/// A line that is no relay URL.
#[derive(Debug, Clone, thiserror::Error)]
#[error("line {line}: {text:?} is refused")]
pub struct RejectedLine {
    /// Its number, from 1.
    pub line: usize,
    /// What it says, without the comment.
    pub text: String,
    /// Why it is refused.
    #[source]
    pub error: RelayUrlError,
}

impl RelayList {
    /// Reads a list. A bad line costs that line only.
    pub fn parse(text: &str, policy: &UrlPolicy) -> Self {
        let mut list = Self::default();
        let mut seen = HashSet::new();
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for (index, line) in text.lines().enumerate() {
            let entry = without_comment(line);
            if entry.is_empty() {
                continue;
            }
            match RelayUrl::parse(entry, policy) {
                Ok(url) if seen.insert(url.clone()) => list.urls.push(url),
                Ok(_) => list.duplicates += 1,
                Err(error) => {
                    let (line, text) = (index + 1, entry.to_owned());
                    list.rejected.push(RejectedLine { line, text, error });
                }
            }
        }
        list
    }
}

/// The line up to a `#` at its start or after a space; elsewhere a `#` belongs to the URL.
fn without_comment(line: &str) -> &str {
    let mut previous = ' ';
    for (position, character) in line.char_indices() {
        if character == '#' && previous.is_whitespace() {
            return line[..position].trim();
        }
        previous = character;
    }
    line.trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> RelayList {
        RelayList::parse(text, &UrlPolicy::default())
    }

    fn urls(list: &RelayList) -> Vec<&str> {
        list.urls.iter().map(RelayUrl::as_str).collect()
    }

    #[test]
    fn comments_and_blank_lines_are_passed_over() {
        let list = parse(
            "\u{feff}# Seeds.\r\n\r\nwss://relay.damus.io\r\n  wss://nos.lol  # a good one\n\t# more\nwss://relay.nostr.band/#top",
        );
        assert_eq!(
            urls(&list),
            [
                "wss://relay.damus.io",
                "wss://nos.lol",
                "wss://relay.nostr.band"
            ]
        );
        assert!(list.rejected.is_empty());
    }

    #[test]
    fn a_relay_in_another_spelling_is_a_duplicate() {
        let list = parse("wss://nos.lol\nwss://relay.damus.io\nWSS://NOS.lol:443/\nwss://nos.lol");
        assert_eq!(urls(&list), ["wss://nos.lol", "wss://relay.damus.io"]);
        assert_eq!(list.duplicates, 2);
    }

    #[test]
    fn a_bad_line_is_named_and_the_rest_is_read() {
        let list =
            parse("wss://nos.lol\n\nhttps://nos.lol # not a relay\nwss://relay.damus.io\nx y");
        assert_eq!(urls(&list).len(), 2);
        let lines: Vec<(usize, &str)> = list
            .rejected
            .iter()
            .map(|bad| (bad.line, bad.text.as_str()))
            .collect();
        assert_eq!(lines, [(3, "https://nos.lol"), (5, "x y")]);
        assert_eq!(
            list.rejected[0].to_string(),
            "line 3: \"https://nos.lol\" is refused"
        );
    }

    #[test]
    fn an_empty_list_is_empty() {
        let list = parse("# nothing yet\n");
        assert!(list.urls.is_empty() && list.rejected.is_empty());
    }
}
