//! From a request's tags to a question for the catalogue.

use std::collections::BTreeMap;

use bigbrotr_core::event::{Event, EventId, Pubkey};
use bigbrotr_core::relay_url::{RelayUrl, UrlPolicy};

use super::count;
use crate::ask::Output;
use crate::limits::{MAX_ANSWER_RELAYS, MAX_INPUTS};
use crate::problem::Problem;
use crate::question::{collect_params, refuse};

/// What kind of job it is: how its request is read and its result written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// A question of the catalogue by its name.
    Catalogue,
    /// The registry's event count, kind 5400.
    Count,
}

/// Something that the question builds upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reference {
    /// The result of another job.
    Job(EventId),
    /// An event.
    Event(EventId),
}

/// What a request asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    /// How it was asked.
    pub(crate) form: Form,
    /// The catalogue entry's name.
    pub(crate) query: String,
    /// Parameters as written.
    pub(crate) params: BTreeMap<String, String>,
    /// The form of the answer.
    pub(crate) output: Output,
    /// What it builds upon.
    pub(crate) references: Vec<Reference>,
    /// The `i` tags, which the answer repeats.
    pub(crate) inputs: Vec<Vec<String>>,
}

/// Says whether a request is for us: it names us (`p`), or nobody.
pub(crate) fn is_for(request: &Event, provider: &Pubkey) -> bool {
    let ours = provider.to_hex();
    let mut named = request.tag_values("p").peekable();
    named.peek().is_none() || named.any(|key| key == ours)
}

/// Returns the relays that shall get the answer too, each once, in canonical form. What is no relay's
/// URL is left out: these are a stranger's words, and go into the database.
pub(crate) fn answer_relays(tags: &[Vec<String>]) -> Vec<String> {
    // Whether an address may be dialled is the dialer's to say.
    let policy = UrlPolicy {
        allow_private: true,
        keep_query: true,
    };
    let mut relays: Vec<String> = Vec::new();
    let written = named(tags, "relays").flat_map(|tag| &tag[1..]);
    for url in written.filter_map(|text| RelayUrl::parse(text, &policy).ok()) {
        if relays.len() < MAX_ANSWER_RELAYS && !relays.iter().any(|known| known == url.as_str()) {
            relays.push(url.as_str().to_owned());
        }
    }
    relays
}

impl Question {
    /// Reads the tags of an opened request. `content` is its content, where that is in clear.
    ///
    /// # Errors
    /// A [`Problem`] that names the tag and what it must be.
    pub(crate) fn read(form: Form, tags: &[Vec<String>], content: &str) -> Result<Self, Problem> {
        let inputs = Inputs::read(tags)?;
        let question = |query: String, params, output| Self {
            form,
            query,
            params,
            output,
            references: inputs.references.clone(),
            inputs: named(tags, "i").cloned().collect(),
        };
        if form == Form::Count {
            let params = count::params(tags, content, &inputs.texts)?;
            return Ok(question(count::QUERY.to_owned(), params, Output::Json));
        }
        let [query] = &inputs.texts[..] else {
            let expected = "expected one input of type text, [\"i\", \"<question>\", \"text\"]";
            return Err(refuse("i", expected).into());
        };
        let pairs = named(tags, "param").map(|tag| {
            let part = |n: usize| tag.get(n).cloned().unwrap_or_default();
            (part(1), part(2))
        });
        let mut params = collect_params(pairs)?;
        if let Some(url) = &inputs.url {
            params
                .entry("url".to_owned())
                .or_insert_with(|| url.clone());
        }
        let output = match named(tags, "output").find_map(|tag| tag.get(1)) {
            Some(mime) => mime
                .parse()
                .map_err(|error| refuse("output", &format!("{error}")))?,
            None => Output::default(),
        };
        Ok(question(query.clone(), params, output))
    }
}

/// The `i` tags by their types.
#[derive(Debug, Default)]
struct Inputs {
    texts: Vec<String>,
    url: Option<String>,
    references: Vec<Reference>,
}

impl Inputs {
    fn read(tags: &[Vec<String>]) -> Result<Self, Problem> {
        let mut inputs = Self::default();
        for (n, tag) in named(tags, "i").enumerate() {
            if n == MAX_INPUTS {
                return Err(refuse("i", &format!("more than {MAX_INPUTS} inputs")).into());
            }
            let value = tag.get(1).cloned().unwrap_or_default();
            let id = || {
                EventId::from_hex(&value)
                    .map_err(|_not_hex| refuse("i", "expected an event id, hex"))
            };
            match tag.get(2).map_or("text", String::as_str) {
                "text" | "" => inputs.texts.push(value),
                "job" => inputs.references.push(Reference::Job(id()?)),
                "event" => inputs.references.push(Reference::Event(id()?)),
                "url" if inputs.url.is_none() => inputs.url = Some(value),
                "url" => return Err(refuse("i", "more than one url").into()),
                _ => {
                    let expected = "expected an input of type text, url, event or job";
                    return Err(refuse("i", expected).into());
                }
            }
        }
        Ok(inputs)
    }
}

/// The tags of this name.
pub(super) fn named<'a>(
    tags: &'a [Vec<String>],
    name: &'static str,
) -> impl Iterator<Item = &'a Vec<String>> {
    tags.iter()
        .filter(move |tag| tag.first().is_some_and(|first| first == name))
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

    fn read(tags: &[Vec<String>]) -> Result<Question, Problem> {
        Question::read(Form::Catalogue, tags, "")
    }

    #[test]
    fn inputs_of_other_types_supply_what_the_question_builds_upon() {
        let id = "07".repeat(32);
        let question = read(&tags(&[
            &["i", &id, "job"],
            &["i", "relays.get", "text"],
            &["i", "wss://x.example", "url"],
            &["i", &id, "event", "wss://hint.example"],
        ]))
        .unwrap();
        assert_eq!(question.params["url"], "wss://x.example");
        let id = EventId([7; 32]);
        assert_eq!(
            question.references,
            [Reference::Job(id), Reference::Event(id)]
        );
        assert_eq!(question.inputs.len(), 4);
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
        let question = read(&tags(&[
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
        assert_eq!(question.inputs[0].len(), 5);
        assert!(question.references.is_empty());
    }

    #[test]
    fn bad_requests_get_a_problem_that_names_the_tag() {
        for (list, param) in [
            (&[][..], "i"),
            (&[&["i", "a"][..], &["i", "b"]], "i"),
            (&[&["i", "abc", "job"]], "i"),
            (&[&["i", "a"], &["i", "b", "prompt"]], "i"),
            (
                &[&["i", "a"], &["param", "x", "1"], &["param", "x", "2"]],
                "x",
            ),
            (&[&["i", "a"], &["output", "text/html"]], "output"),
        ] {
            let problem = read(&tags(list)).unwrap_err();
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
            answer_relays(&request(&[&tag]).tags),
            relays[..MAX_ANSWER_RELAYS]
        );
        assert!(answer_relays(&request(&[&["relays"]]).tags).is_empty());
    }

    #[test]
    fn what_is_no_relays_url_gets_no_answer() {
        let long = format!("wss://r.example/{}", "x".repeat(10_000));
        let written = [
            "relays",
            "wss://x\0.example",
            "nonsense",
            &long,
            "WSS://R0.example/",
            "wss://r0.example",
        ];
        assert_eq!(
            answer_relays(&request(&[&written]).tags),
            ["wss://r0.example"]
        );
    }
}
