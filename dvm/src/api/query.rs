//! The query of a URL, `a=1&b=2`, as forms write it.

use std::borrow::Cow;

use bigbrotr_schema::catalog::CatalogError;
use percent_encoding::percent_decode_str;

use crate::question::refuse;

/// Reads the parameters of a query: `+` is a space, `%` begins a byte of UTF-8.
///
/// # Errors
/// [`CatalogError::InvalidParam`] when a name or a value is not UTF-8: taking another text for it
/// would answer another question.
pub(super) fn parse(query: &str) -> Result<Vec<(String, String)>, CatalogError> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name).ok_or_else(|| refuse(name, EXPECTED))?;
            let value = decode(value).ok_or_else(|| refuse(&name, EXPECTED))?;
            Ok((name, value))
        })
        .collect()
}

const EXPECTED: &str = "expected percent-encoded UTF-8";

fn decode(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8().ok()?;
    Some(Cow::into_owned(decoded))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(query: &str) -> Vec<(String, String)> {
        parse(query).unwrap()
    }

    #[test]
    fn queries_are_read_as_forms_write_them() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(parsed(""), []);
        assert_eq!(parsed("&&"), []);
        assert_eq!(parsed("a=1&b=2"), [pair("a", "1"), pair("b", "2")]);
        assert_eq!(parsed("a=x+y%20z%2B"), [pair("a", "x y z+")]);
        assert_eq!(
            parsed("a=b=c&d&=e"),
            [pair("a", "b=c"), pair("d", ""), pair("", "e")]
        );
        assert_eq!(
            parsed("%61=%C3%A9&b=%zz"),
            [pair("a", "é"), pair("b", "%zz")]
        );
    }

    #[test]
    fn what_is_not_utf_8_is_refused_by_name() {
        for query in ["a=%ff", "a=1&b=%c3", "%ff=1"] {
            assert_eq!(parse(query).unwrap_err().code(), "invalid_param", "{query}");
        }
    }
}
