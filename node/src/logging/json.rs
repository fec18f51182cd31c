//! One line of JSON for each event: its fields, beside `timestamp`, `level` and `target`.
//!
//! As `tracing-subscriber` writes it with its fields flattened, and with what that leaves out: the
//! causes of an error, as `error.sources`, the nearest first.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;

use serde_json::{Value, json};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Where libraries that write through the crate `log` say what they are.
const LOG_TARGET: &str = "log.target";

/// The format.
pub(super) struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut timestamp = String::new();
        SystemTime.format_time(&mut Writer::new(&mut timestamp))?;
        let metadata = event.metadata();
        let target = (fields.0.remove(LOG_TARGET)).unwrap_or_else(|| json!(metadata.target()));
        fields.0.retain(|name, _| !name.starts_with("log."));

        write!(
            writer,
            r#"{{"timestamp":{},"level":{}"#,
            json!(timestamp),
            json!(metadata.level().as_str()),
        )?;
        // What it says comes first.
        let message = fields.0.remove_entry("message");
        for (name, value) in message.into_iter().chain(fields.0) {
            write!(writer, ",{}:{value}", json!(name))?;
        }
        writeln!(writer, r#","target":{target}}}"#)
    }
}

/// The fields of an event, by name.
#[derive(Default)]
struct Fields(BTreeMap<String, Value>);

impl Fields {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.put(field, value.to_string());
        let causes = std::iter::successors(value.source(), |cause| (*cause).source());
        let causes: Vec<_> = causes.map(ToString::to_string).collect();
        if !causes.is_empty() {
            self.0
                .insert(format!("{}.sources", field.name()), causes.into());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_has_every_field_and_every_cause() {
        let lines = Lines::default();
        let writer = lines.clone();
        let layer = tracing_subscriber::fmt::layer()
            .event_format(JsonLines)
            .with_writer(move || writer.clone());
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, || {
            let error = anyhow::anyhow!("the disk is full").context("cannot write");
            tracing::warn!(
                error = error.as_ref() as &(dyn Error + 'static),
                relay.url = %"wss://a.example.com/\"\u{1b}",
                events = 3,
                share = 0.5,
                "it \"failed\"\nhere",
            );
            tracing::info!(error = &io::Error::other("alone") as &(dyn Error + 'static));
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let [first, second] = &lines[..] else {
            panic!("{text}");
        };
        assert!(first["timestamp"].as_str().unwrap().ends_with('Z'));
        assert_eq!(first["level"], "WARN");
        assert_eq!(first["message"], "it \"failed\"\nhere");
        assert_eq!(first["error"], "cannot write");
        assert_eq!(first["error.sources"], json!(["the disk is full"]));
        assert_eq!(first["relay.url"], "wss://a.example.com/\"\u{1b}");
        assert_eq!(
            (&first["events"], &first["share"]),
            (&json!(3), &json!(0.5))
        );
        assert_eq!(first["target"], module_path!());
        assert_eq!(second["error"], "alone");
        assert_eq!(second.get("error.sources"), None);
    }
}
