//! From a request's tags to a question for the catalogue.

use std::collections::BTreeMap;

use bigbrotr_core::event::{Event, Pubkey};

use crate::ask::Output;
use crate::limits::MAX_ANSWER_RELAYS;
use crate::problem::Problem;
use crate::question::{collect_params, refuse};

/// What a request asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    /// The catalogue entry's name.
    pub(crate) query: String,
    /// Parameters as written.
    pub(crate) params: BTreeMap<String, String>,
    /// The form of the answer.
    pub(crate) output: Output,
    /// The `i` tag, which the answer repeats.
    pub(crate) input: Vec<String>,
}

/// Says whether a request is for us: it names us (`p`), or nobody.
pub(crate) fn is_for(request: &Event, provider: &Pubkey) -> bool {
    let ours = provider.to_hex();
    let mut named = request.tag_values("p").peekable();
    named.peek().is_none() || named.any(|key| key == ours)
}

/// Returns the relays that shall get the answer too, as the request writes them.
pub(crate) fn answer_relays(request: &Event) -> Vec<String> {
    request
        .tags
        .iter()
        .filter(|tag| tag.first().is_some_and(|name| name == "relays"))
        .flat_map(|tag| &tag[1..])
        .take(MAX_ANSWER_RELAYS)
        .cloned()
        .collect()
}

impl Question {
    /// Reads the tags of an opened request.
    ///
    /// # Errors
    /// A [`Problem`] that names the tag and what it must be.
    pub(crate) fn read(tags: &[Vec<String>]) -> Result<Self, Problem> {
        let named = |name: &'static str| {
            tags.iter()
                .filter(move |tag| tag.first().is_some_and(|first| first == name))
        };
        let mut inputs = named("i");
        let (Some(input), None) = (inputs.next(), inputs.next()) else {
            return Err(
                refuse("i", "expected one input, [\"i\", \"<question>\", \"text\"]").into(),
            );
        };
        let kind = input.get(2).map_or("text", String::as_str);
        if !matches!(kind, "text" | "") {
            return Err(refuse("i", "expected an input of type text").into());
        }
        let query = input.get(1).cloned().unwrap_or_default();
        let pairs = named("param").map(|tag| {
            let part = |n: usize| tag.get(n).cloned().unwrap_or_default();
            (part(1), part(2))
        });
        let params = collect_params(pairs)?;
        let output = match named("output").find_map(|tag| tag.get(1)) {
            Some(mime) => mime
                .parse()
                .map_err(|error| refuse("output", &format!("{error}")))?,
            None => Output::default(),
        };
        Ok(Self {
            query,
            params,
            output,
            input: input.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use bigbrotr_core::event::EventId;

    use super::*;

    fn tags(tags: &[&[&str]]) -> Vec<Vec<String>> {
        tags.iter()
            .map(|tag| tag.iter().map(ToString::to_string).collect())
            .collect()
    }

    fn request(list: &[&[&str]]) -> Event {
        Event {
            id: EventId([1; 32]),
            pubkey: Pubkey([2; 32]),
            created_at: 0,
            kind: 5450,
            tags: tags(list),
            content: String::new(),
            sig: [0; 64],
        }
    }

    #[test]
    fn a_request_is_ours_when_it_names_us_or_nobody() {
        let us = Pubkey([7; 32]);
        let (ours, other) = (us.to_hex(), "08".repeat(32));
        assert!(is_for(&request(&[]), &us));
        assert!(is_for(&request(&[&["p"]]), &us));
        assert!(is_for(&request(&[&["p", &ours]]), &us));
        assert!(is_for(&request(&[&["p", &other], &["p", &ours]]), &us));
        assert!(!is_for(&request(&[&["p", &other]]), &us));
        assert!(!is_for(&request(&[&["p", ""]]), &us));
    }

    #[test]
    fn a_question_is_read_from_i_param_and_output() {
        let question = Question::read(&tags(&[
            &[],
            &["i", "kinds.list", "text", "wss://x.example", "marker"],
            &["param", "window", "24h"],
            &["param", "limit", "5"],
            &["output", "text/csv"],
        ]))
        .unwrap();
        assert_eq!(question.query, "kinds.list");
        assert_eq!(question.params.len(), 2);
        assert_eq!(question.params["window"], "24h");
        assert_eq!(question.output, Output::Csv);
        assert_eq!(question.input.len(), 5);
    }

    #[test]
    fn bad_requests_get_a_problem_that_names_the_tag() {
        for (list, param) in [
            (&[][..], "i"),
            (&[&["i", "a"][..], &["i", "b"]], "i"),
            (&[&["i", "abc", "job"]], "i"),
            (
                &[&["i", "a"], &["param", "x", "1"], &["param", "x", "2"]],
                "x",
            ),
            (&[&["i", "a"], &["output", "text/html"]], "output"),
        ] {
            let problem = Question::read(&tags(list)).unwrap_err();
            assert_eq!(problem.code, "invalid_param", "{list:?}");
            assert!(problem.message.starts_with(&format!("{param}: ")));
        }
    }

    #[test]
    fn only_a_handful_of_relays_get_the_answer() {
        let relays: Vec<String> = (0..20).map(|n| format!("wss://r{n}.example")).collect();
        let mut tag = vec!["relays"];
        tag.extend(relays.iter().map(String::as_str));
        assert_eq!(
            answer_relays(&request(&[&tag])),
            relays[..MAX_ANSWER_RELAYS]
        );
        assert!(answer_relays(&request(&[&["relays"]])).is_empty());
    }
}
