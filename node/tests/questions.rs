//! The same question, asked in every way of the real program: the same bytes.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use bigbrotr_dvm::ask::{JobRequest, Reply, reply_filter};
use bigbrotr_schema::catalog::{Entry, ParamType, read_built_in};
use bigbrotr_testkit::{Population, PopulationConfig};
use common::{Node, PATIENCE, bigbrotr, get, output};
use nostr::Keys;
use nostr_sdk::{Client, RelayPoolNotification};
use serde_json::{Value, json};

const RELAY: &str = "wss://relay.example.com/nostr";

type Params = BTreeMap<String, String>;

/// An archive of old events, so that no window moves while it is asked.
fn import(data: &Path) -> Population {
    let population = Population::generate(&PopulationConfig::new(11, 300, 1_700_000_000));
    let mut import = bigbrotr(data)
        .args(["import", "-", "--relay", RELAY])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = import.stdin.take().unwrap();
    for event in population.events() {
        writeln!(stdin, "{}", event.json()).unwrap();
    }
    drop(stdin);
    assert!(import.wait().unwrap().success());
    population
}

/// A value that the archive knows, and one that the type does not take.
fn values(kind: &ParamType, population: &Population) -> (String, &'static str) {
    let event = population.events()[0].event();
    match kind {
        ParamType::Relay | ParamType::Relays => (RELAY.to_owned(), "relay.example.com"),
        ParamType::Pubkey => (event.pubkey.to_hex(), "npub1"),
        ParamType::EventId => (event.id.to_hex(), "abc"),
        ParamType::Integer { max, .. } => (max.min(&1).to_string(), "99999999999999999999"),
        ParamType::Window => ("7d".to_owned(), "2h"),
        ParamType::Enum(words) => (words[words.len() - 1].clone(), "nonsense"),
        ParamType::Country => ("de".to_owned(), "DEU"),
        ParamType::Filter => (
            r##"{"kinds":[1],"#t":["é"]}"##.to_owned(),
            r#"{"kinds":["1"]}"#,
        ),
        ParamType::Groups => ("pubkey,kind".to_owned(), "a,a"),
        ParamType::Text => ("strfry".to_owned(), ""),
        ParamType::Cursor => (String::new(), "x"),
    }
}

/// With what must be given, with everything, and each in which one thing is wrong.
fn sets(entry: &Entry, population: &Population) -> Vec<Params> {
    let mut least = Params::new();
    let mut all = Params::new();
    for param in &entry.params {
        let (value, _) = values(&param.kind, population);
        if !param.optional && param.default.is_none() {
            least.insert(param.name.clone(), value.clone());
        }
        if param.kind != ParamType::Cursor {
            all.insert(param.name.clone(), value);
        }
    }
    let mut sets = vec![least.clone(), all];
    for param in &entry.params {
        let mut wrong = least.clone();
        let (_, bad) = values(&param.kind, population);
        if !bad.is_empty() {
            wrong.insert(param.name.clone(), bad.to_owned());
            sets.push(wrong);
        }
    }
    let mut unknown = least;
    unknown.insert("nope".into(), "1".into());
    sets.push(unknown);
    sets
}

fn encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        encoded.push_str(&format!("%{byte:02X}"));
    }
    encoded
}

fn over_rest(api: &str, entry: &Entry, params: &Params) -> String {
    let mut path = entry.path.clone();
    let mut query = Vec::new();
    for (name, value) in params {
        let place = format!("{{{name}}}");
        if path.contains(&place) {
            path = path.replace(&place, &encode(value));
        } else {
            query.push(format!("{name}={}", encode(value)));
        }
    }
    let url = format!("{api}/v1{path}?{}", query.join("&"));
    let patience = std::time::Instant::now() + PATIENCE;
    loop {
        match get(&url) {
            (429, _) if std::time::Instant::now() < patience => {
                std::thread::sleep(Duration::from_secs(1));
            }
            (_, body) => return body,
        }
    }
}

async fn over_nostr(relay: &str, entry: &Entry, params: &Params) -> String {
    // A customer of their own for each question: nobody asks too much.
    let keys = Keys::generate();
    let client = Client::new(keys.clone());
    client.add_relay(relay).await.unwrap();
    client.connect().await;
    let mut request = JobRequest::new(&entry.name);
    request.params.clone_from(params);
    let request = request
        .to_event_builder()
        .unwrap()
        .sign_with_keys(&keys)
        .unwrap();
    let mut notifications = client.notifications();
    client
        .subscribe(reply_filter(request.id), None)
        .await
        .unwrap();
    client.send_event(&request).await.unwrap();
    let waiting = async {
        loop {
            let RelayPoolNotification::Event { event, .. } = notifications.recv().await.unwrap()
            else {
                continue;
            };
            match Reply::from_event(&event, request.id) {
                Some(Reply::Result { content, .. }) => return content,
                Some(Reply::Error { .. }) => return event.content.clone(),
                _ => {}
            }
        }
    };
    let content = tokio::time::timeout(PATIENCE, waiting).await.unwrap();
    client.shutdown().await;
    content
}

/// One process for all questions: starting one takes longer than most answers.
fn by_command(data: &Path, questions: &[(Entry, Params)]) -> Vec<String> {
    let mut command = bigbrotr(data)
        .args(["query", "--batch"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = command.stdin.take().unwrap();
    let lines: Vec<String> = questions
        .iter()
        .map(|(entry, params)| json!({ "query": entry.name, "params": params }).to_string())
        .collect();
    // Apart, so that neither waits for the other with a full pipe.
    let writer = std::thread::spawn(move || writeln!(stdin, "{}", lines.join("\n")).unwrap());
    let answered = command.wait_with_output().unwrap();
    writer.join().unwrap();
    let answers = String::from_utf8(answered.stdout).unwrap();
    answers.lines().map(ToOwned::to_owned).collect()
}

/// The moment of the statistics moves on between two questions.
fn timeless(json: &str) -> String {
    let Some((head, tail)) = json.split_once("\"as_of\":") else {
        return json.to_owned();
    };
    let end = tail.find(|c: char| !c.is_ascii_digit()).unwrap();
    format!("{head}\"as_of\":0{}", &tail[end..])
}

#[test]
fn every_question_gets_the_same_bytes_over_nostr_by_rest_and_by_command() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let population = import(&data);
    let services = ["--services", "initializer,relay,dvm,api"];
    let node = Node::start(&data, &services);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let questions: Vec<(Entry, Params)> = read_built_in()
        .unwrap()
        .into_iter()
        .flat_map(|entry| {
            let sets = sets(&entry, &population).into_iter();
            sets.map(move |params| (entry.clone(), params))
        })
        .collect();
    let commands = by_command(&data, &questions);
    assert_eq!(commands.len(), questions.len());
    let (mut answers, mut errors) = (0, 0);
    for ((entry, params), command) in questions.iter().zip(commands) {
        let what = format!("{} {params:?}", entry.name);
        let command = timeless(&command);
        let rest = timeless(&over_rest(&node.api, entry, params));
        let nostr = runtime.block_on(over_nostr(&node.relay, entry, params));
        assert_eq!(rest, command, "{what}");
        assert_eq!(timeless(&nostr), command, "{what}");
        let json: Value = serde_json::from_str(&command).unwrap();
        let is_error = json.get("error").is_some();
        errors += u32::from(is_error);
        answers += u32::from(!is_error);
    }
    assert!(
        answers > 30 && errors > 40,
        "{answers} answers, {errors} errors"
    );
    assert_eq!(node.terminate(), Some(0));
}

#[test]
fn ask_finds_who_answers_and_prints_every_form_plain_and_encrypted() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    import(&data);
    let node = Node::start(&data, &["--services", "initializer,relay,dvm"]);
    let ask = |more: &[&str]| {
        let (done, stdout, stderr) = output(
            bigbrotr(&data)
                .args(["ask", "--relay", &node.relay])
                .args(more),
        );
        (done.status.code(), stdout, stderr)
    };
    let (code, json, said) = ask(&["kinds.list", "limit=2"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(json.starts_with(r#"{"data":[{"kind":"#), "{json}");
    for part in ["asking BigBrotr (npub1", "processing", "there is more"] {
        assert!(said.contains(part), "{said}");
    }
    for cipher in ["--encrypt", "--encrypt=nip04"] {
        let (code, sealed, said) = ask(&[cipher, "kinds.list", "limit=2"]);
        assert_eq!(code, Some(0), "{said}");
        assert_eq!(timeless(&sealed), timeless(&json));
    }
    let (_, whole, _) = ask(&["--format", "csv", "kinds.list"]);
    let (_, pages, said) = ask(&["--format", "csv", "--all", "kinds.list", "limit=3"]);
    assert_eq!(pages, whole, "{said}");
    let (_, table, _) = ask(&["--format", "table", "kinds.list", "limit=1"]);
    assert!(
        table.starts_with("kind ") && table.lines().count() == 2,
        "{table}"
    );
    let (code, stdout, said) = ask(&["kinds.list", "limit=0"]);
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(said.contains("invalid_param: limit: "), "{said}");
    let nobody = Keys::generate().public_key().to_hex();
    let (code, _, said) = ask(&["--provider", &nobody, "--timeout", "2", "kinds.list"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("no answer within 2 s"), "{said}");
    assert_eq!(node.terminate(), Some(0));
}

#[test]
fn a_shell_is_told_questions_and_their_parameters() {
    let folder = tempfile::tempdir().unwrap();
    let complete = |words: &[&str]| {
        let mut command = bigbrotr(folder.path());
        // As the shell's own script calls it: the program, and the words so far.
        let index = words.len().to_string();
        let mut asked = std::process::Command::new(command.get_program());
        asked
            .env("COMPLETE", "bash")
            .env("_CLAP_COMPLETE_INDEX", index);
        asked
            .env("_CLAP_COMPLETE_COMP_TYPE", "9")
            .env("_CLAP_COMPLETE_SPACE", "true");
        asked
            .env("_CLAP_IFS", "\n")
            .args(["--", "bigbrotr"])
            .args(words);
        command.arg("--version");
        output(&mut asked).1
    };
    assert!(complete(&["query", "kinds."]).contains("kinds.list"));
    assert!(complete(&["ask", "kinds.list", "wi"]).contains("window="));
    assert!(complete(&["query", "kinds.list", "window=2"]).contains("window=24h"));
}
