//! One line of a file: an event as relays' tools write it.

use bigbrotr_core::event::Event;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::limits::REASON_CHARS;

/// Begins a file that some editors on Windows wrote.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A relay's or a client's message around an event: `["EVENT", event]` or
/// `["EVENT", subscription, event]`.
#[derive(Deserialize)]
struct Message<'a>(
    String,
    #[serde(borrow)] &'a RawValue,
    #[serde(borrow, default)] Option<&'a RawValue>,
);

/// Reads the event of a line, given with the line's number; `None` when the line is blank.
///
/// # Errors
/// A message that says what is wrong with it, short enough to be printed.
pub(super) fn parse(number: u64, line: &[u8]) -> Result<Option<Event>, String> {
    let line = match number {
        1 => line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line),
        _ => line,
    };
    let line = line.trim_ascii();
    if line.is_empty() {
        return Ok(None);
    }
    let text = std::str::from_utf8(line)
        .map_err(|error| format!("not UTF-8 from byte {}", error.valid_up_to() + 1))?;
    let json = match line[0] {
        b'{' => text,
        b'[' => unwrap(text)?,
        _ => return Err("neither an event nor an EVENT message".to_owned()),
    };
    Event::from_json(json)
        .map(Some)
        .map_err(|error| match error {
            bigbrotr_core::event::EventError::Malformed(cause) => reason(&cause),
            other => other.to_string(),
        })
}

/// Takes the event out of a message.
fn unwrap(text: &str) -> Result<&str, String> {
    let Message(verb, second, third) =
        serde_json::from_str(text).map_err(|error| reason(&error))?;
    if verb != "EVENT" {
        return Err("a message that is not an EVENT".to_owned());
    }
    Ok(third.unwrap_or(second).get())
}

/// Says what is wrong with JSON. Every document is one line, so only the column is of interest.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text
        .rsplit_once(" at line ")
        .map_or(&*text, |(what, _)| what);
    let mut short: String = text
        .chars()
        .take(REASON_CHARS)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("{short} (column {})", error.column())
}

#[cfg(test)]
mod tests {
    use bigbrotr_testkit::population::{EventMaker, InvalidEvents, author_keys};

    use super::*;

    fn event() -> Event {
        EventMaker::new(1_700_000_000)
            .tag(["t", "x"])
            .content("a \0 b")
            .sign(&author_keys(1, 1))
    }

    #[test]
    fn an_event_is_found_in_every_usual_dress() {
        let event = event();
        let json = event.to_json();
        for line in [
            json.clone(),
            format!("  {json}\r\n"),
            format!("[\"EVENT\",{json}]\n"),
            format!("[ \"EVENT\" , \"sub\" , {json} ]\r\n"),
            json.replacen('{', "{\"fried\":\"00ff\",\"seen_on\":[\"wss://x\"],", 1),
        ] {
            assert_eq!(parse(7, line.as_bytes()), Ok(Some(event.clone())), "{line}");
        }
        let marked = [BYTE_ORDER_MARK, json.as_bytes()].concat();
        assert_eq!(parse(1, &marked), Ok(Some(event)));
        assert!(parse(2, &marked).is_err());
    }

    #[test]
    fn blank_lines_are_nothing() {
        for line in ["", "\n", "\r\n", " \t \r\n"] {
            assert_eq!(parse(3, line.as_bytes()), Ok(None));
        }
        assert_eq!(parse(1, b"\xef\xbb\xbf\r\n"), Ok(None));
    }

    #[test]
    fn what_is_wrong_is_said_in_few_words() {
        let json = event().to_json();
        for (line, words) in [
            ("hello".to_owned(), "neither an event"),
            ("[]".to_owned(), "invalid length 0"),
            ("[\"EOSE\",\"x\"]".to_owned(), "not an EVENT"),
            ("[\"EVENT\"]".to_owned(), "invalid length 1"),
            (format!("[\"EVENT\",\"x\",{json},1]"), "trailing"),
            (format!("{json}{json}"), "trailing"),
            ("{}".to_owned(), "missing field `id`"),
            (json.replace("\"tags\":[", "\"tags\":[[1],"), "invalid type"),
        ] {
            let reason = parse(1, line.as_bytes()).unwrap_err();
            assert!(reason.contains(words), "{line}: {reason}");
        }
        assert_eq!(
            parse(1, b"{\"id\":\"\xff\"}").unwrap_err(),
            "not UTF-8 from byte 8"
        );
        let long = json.replace(
            "\"kind\":1",
            &format!("\"kind\":\"{}\"", "k".repeat(100_000)),
        );
        assert!(parse(1, long.as_bytes()).unwrap_err().len() < 300);
        let invalid = InvalidEvents::new(author_keys(1, 1), 5);
        assert!(parse(1, invalid.deeply_nested().as_bytes()).is_err());
        assert!(parse(1, invalid.truncated().as_bytes()).is_err());
    }
}
