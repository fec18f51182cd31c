//! From a question to its result event, of a size that relays take.
//!
//! A list that is too long is asked for again with a lower limit: what the customer gets is the
//! answer to that, byte for byte what REST gives for it, with the cursor of the next page.

use bigbrotr_core::event::Event;
use bigbrotr_schema::catalog::{CatalogError, Shape};
use serde_json::value::RawValue;

use super::envelope::Seal;
use super::question::{Form, Question};
use super::{DvmError, DvmService, count, table};
use crate::limits::{MAX_ROW_BYTES, MAX_SHORTENINGS};
use crate::problem::Problem;

/// What became of a question.
pub(super) enum Outcome {
    /// The result, and what goes with it.
    Result(Vec<Event>),
    /// There is none, for this reason.
    Problem(Problem),
    /// The database is away, in these words.
    Unavailable(Problem),
}

impl DvmService {
    /// Asks the catalogue and writes the result.
    pub(super) async fn result(
        &self,
        request: &Event,
        question: &Question,
        seal: Option<Seal>,
    ) -> Result<Outcome, DvmError> {
        let mut params = question.params.clone();
        let mut cut = None;
        for _ in 0..MAX_SHORTENINGS {
            let answer = match self.catalog.run(&question.query, &params).await {
                Ok(answer) => answer,
                Err(error @ CatalogError::Unavailable(_)) => {
                    return Ok(Outcome::Unavailable(error.into()));
                }
                Err(error) => {
                    if let CatalogError::Internal(source) = &error {
                        tracing::error!(
                            job.id = %request.id,
                            query = question.query,
                            error = source as &dyn std::error::Error,
                            "a question failed",
                        );
                    }
                    return Ok(Outcome::Problem(error.into()));
                }
            };
            let written = match question.form {
                Form::Count => count::content(&answer.json),
                Form::Catalogue => {
                    table::write(&answer.json, question.output).map(std::borrow::Cow::into_owned)
                }
            };
            let content = match written {
                Ok(content) => content,
                Err(error) => {
                    tracing::error!(
                        job.id = %request.id,
                        error = &error as &dyn std::error::Error,
                        "an answer cannot be written",
                    );
                    let problem = Problem::new(500, "internal", "the answer could not be written");
                    return Ok(Outcome::Problem(problem));
                }
            };
            let rows = self.rows(question, &answer.json);
            let most = match rows {
                Some(_) => self.config.max_result_bytes.as_usize(),
                None => MAX_ROW_BYTES,
            };
            let next = answer.next;
            let length = match self.write(request, question, content, seal, next)? {
                Ok(event) => {
                    let length = event.to_json().len();
                    if length <= most {
                        return Ok(Outcome::Result(vec![
                            event,
                            self.desk.success(request, cut)?,
                        ]));
                    }
                    length
                }
                // Too long to encrypt: by how much is not known.
                Err(problem) if problem.code == "too_long" => most * 2,
                Err(problem) => return Ok(Outcome::Problem(problem)),
            };
            let Some(rows) = rows.filter(|rows| *rows > 1) else {
                break;
            };
            let fewer = (rows * most / length * 9 / 10).clamp(1, rows - 1);
            params.insert("limit".to_owned(), fewer.to_string());
            cut = Some(fewer);
        }
        let words = "the answer is longer than a result may be: ask for less";
        Ok(Outcome::Problem(Problem::new(413, "too_long", words)))
    }

    /// Writes the result event, or says why it cannot be encrypted.
    fn write(
        &self,
        request: &Event,
        question: &Question,
        content: String,
        seal: Option<Seal>,
        next: Option<String>,
    ) -> Result<Result<Event, Problem>, DvmError> {
        let content = match seal.map(|seal| seal.encrypt(&self.desk.keys, &content)) {
            None => content,
            Some(Ok(sealed)) => sealed,
            Some(Err(problem)) => return Ok(Err(problem)),
        };
        let sealed = seal.is_some();
        Ok(Ok(self
            .desk
            .result(request, question, content, sealed, next)?))
    }

    /// Counts the rows of an answer, if it is a list that can be asked for in parts.
    fn rows(&self, question: &Question, json: &str) -> Option<usize> {
        #[derive(serde::Deserialize)]
        struct List<'a> {
            #[serde(borrow)]
            data: Vec<&'a RawValue>,
        }
        let entry = self.catalog.get(&question.query)?;
        if entry.shape != Shape::List {
            return None;
        }
        let list: List<'_> = serde_json::from_str(json).ok()?;
        Some(list.data.len())
    }
}
