//! What a question takes from other jobs' results and from events ([NIP-90], job chaining).
//!
//! A question of the catalogue takes the parameters that it cannot do without and that the request
//! does not give, from the fields of the same names: of an event, or of the first row of a
//! result. A count takes filters.
//!
//! [NIP-90]: https://github.com/nostr-protocol/nips/blob/master/90.md#job-chaining

use bigbrotr_core::event::{Event, EventId};
use bigbrotr_schema::store::{Job, JobOutcome};
use serde_json::{Map, Value, json};

use super::envelope::Seal;
use super::question::{Form, Question, Reference};
use super::{DvmError, DvmService, count};
use crate::problem::Problem;
use crate::question::refuse;

/// The kind of a relay's report: its `d` is the relay's URL.
const RELAY_REPORT: u16 = 30_166;

/// Where the references of a question have led.
pub(super) enum Chained {
    /// The question has all there is.
    Complete(Question),
    /// A job that it builds upon is not answered yet.
    Wait,
    /// What it builds upon is not to be had.
    Refused(Problem),
}

impl DvmService {
    /// Completes a question with what it builds upon.
    pub(super) async fn chain(
        &self,
        job: &Job,
        mut question: Question,
        seal: Option<Seal>,
    ) -> Result<Chained, DvmError> {
        for reference in std::mem::take(&mut question.references) {
            let found = match reference {
                Reference::Event(id) => self.find_event(&id).await?.map(|event| {
                    let fields = fields_of(&event);
                    (event.content, fields)
                }),
                Reference::Job(id) if id == job.request.id => None,
                Reference::Job(id) => match self.store.get_job(&id).await? {
                    Some(record) if record.outcome.is_none() => return Ok(self.wait(job)),
                    Some(record) => match (record.outcome, record.result) {
                        (Some(JobOutcome::Done), Some(result)) => {
                            let same = record.customer == job.request.pubkey;
                            let seal = seal.filter(|_| same);
                            self.find_result(&result, seal).await?
                        }
                        _ => None,
                    },
                    // It may be on its way.
                    None if job.received_at > self.now() - CHAIN_PATIENCE => {
                        return Ok(Chained::Wait);
                    }
                    None => None,
                },
            };
            let Some((content, fields)) = found else {
                let what = match reference {
                    Reference::Job(_) => "this job has no result that can be used",
                    Reference::Event(_) => "this event is not here",
                };
                return Ok(Chained::Refused(refuse("i", what).into()));
            };
            if let Err(problem) = self.supply(&mut question, &content, &fields) {
                return Ok(Chained::Refused(problem));
            }
        }
        Ok(Chained::Complete(question))
    }

    fn wait(&self, job: &Job) -> Chained {
        if job.received_at > self.answered_since() {
            return Chained::Wait;
        }
        Chained::Refused(refuse("i", "the job was not answered in time").into())
    }

    fn supply(
        &self,
        question: &mut Question,
        content: &str,
        fields: &Map<String, Value>,
    ) -> Result<(), Problem> {
        if question.form == Form::Count {
            return count::add_filters(&mut question.params, content);
        }
        let Some(entry) = self.catalog.get(&question.query) else {
            // The catalogue says so better.
            return Ok(());
        };
        for param in &entry.params {
            let needed = !param.optional && param.default.is_none();
            // Lists name a relay among other things `relay`, questions about one `url`.
            let alias = if param.name == "url" { "relay" } else { "" };
            let field = fields.get(&param.name).or_else(|| fields.get(alias));
            let value = match field {
                Some(Value::String(text)) => text.clone(),
                Some(number @ Value::Number(_)) => number.to_string(),
                _ => continue,
            };
            if needed {
                question.params.entry(param.name.clone()).or_insert(value);
            }
        }
        Ok(())
    }

    async fn find_event(&self, id: &EventId) -> Result<Option<Event>, DvmError> {
        if let Some(stored) = self.store.get_relay_event(id).await? {
            return Ok(Some(stored.event()?));
        }
        Ok(self.store.get_event(id).await?)
    }

    /// Finds the content of a result of ours. One that was encrypted can be read with the seal of
    /// its own customer only, whose answer will be encrypted too.
    async fn find_result(
        &self,
        id: &EventId,
        seal: Option<Seal>,
    ) -> Result<Option<(String, Map<String, Value>)>, DvmError> {
        let Some(stored) = self.store.get_relay_event(id).await? else {
            return Ok(None);
        };
        let event = stored.event()?;
        let encrypted = event
            .tags
            .iter()
            .any(|tag| tag.first().is_some_and(|n| n == "encrypted"));
        let content = match (encrypted, seal) {
            (false, _) => Some(event.content),
            (true, Some(seal)) => seal.decrypt(&self.desk.keys, &event.content),
            (true, None) => None,
        };
        Ok(content.map(|content| {
            let fields = first_row(&content);
            (content, fields)
        }))
    }
}

/// How long a job is waited for that nobody knows of: seconds.
const CHAIN_PATIENCE: i64 = 30;

fn fields_of(event: &Event) -> Map<String, Value> {
    let mut fields = Map::from_iter([
        ("id".to_owned(), json!(event.id)),
        ("pubkey".to_owned(), json!(event.pubkey)),
        ("kind".to_owned(), json!(event.kind)),
    ]);
    if event.kind == RELAY_REPORT {
        fields.insert("url".to_owned(), json!(event.d_tag()));
    }
    fields
}

/// The fields of an answer's object, or of the first one of its list.
fn first_row(content: &str) -> Map<String, Value> {
    let Ok(mut answer) = serde_json::from_str::<Value>(content) else {
        return Map::new();
    };
    match answer["data"].take() {
        Value::Object(row) => row,
        Value::Array(rows) => match rows.into_iter().next() {
            Some(Value::Object(row)) => row,
            _ => Map::new(),
        },
        _ => Map::new(),
    }
}
