//! Notes to publish, and questions about them, as nostr-bench makes them: a mention, a reply and
//! two hashtags, one of which is one of a thousand.

use nostr::{EventBuilder, JsonUtil, Keys, Tag, Timestamp};

/// How many people write.
const AUTHORS: usize = 500;

/// How many hashtags there are.
const HASHTAGS: usize = 1_000;

/// How far apart the notes are made, seconds.
const STEP: u64 = 1;

/// What is published and asked.
pub(crate) struct Corpus {
    /// EVENT messages, each another note.
    pub(crate) events: Vec<String>,
    ids: Vec<String>,
    authors: Vec<String>,
    first: u64,
}

/// A kind of question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Question {
    Hashtag,
    Author,
    Id,
    Time,
}

impl Question {
    pub(crate) const ALL: [Self; 4] = [Self::Hashtag, Self::Author, Self::Id, Self::Time];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Hashtag => "hashtag",
            Self::Author => "author",
            Self::Id => "id",
            Self::Time => "time",
        }
    }
}

impl Corpus {
    /// Makes and signs so many notes, the last of them now.
    pub(crate) fn make(count: usize) -> Self {
        eprintln!("signing {count} notes");
        let authors: Vec<Keys> = (0..AUTHORS).map(|_| Keys::generate()).collect();
        let first = Timestamp::now().as_secs() - count as u64 * STEP;
        let mut corpus = Self {
            events: Vec::with_capacity(count),
            ids: Vec::with_capacity(count),
            authors: authors
                .iter()
                .map(|key| key.public_key().to_hex())
                .collect(),
            first,
        };
        for n in 0..count {
            let author = &authors[mix(n) % AUTHORS];
            let tags = [
                Tag::public_key(authors[mix(n + 1) % AUTHORS].public_key()),
                Tag::parse(["e", &format!("{n:064x}")]).expect("a tag"),
                Tag::hashtag("bench"),
                Tag::hashtag(hashtag(mix(n + 2))),
            ];
            let note = EventBuilder::text_note(format!("This is note {n} of a benchmark"))
                .tags(tags)
                .custom_created_at(Timestamp::from_secs(first + n as u64 * STEP))
                .sign_with_keys(author)
                .expect("a signature");
            corpus.ids.push(note.id.to_hex());
            corpus
                .events
                .push(format!(r#"["EVENT",{}]"#, note.as_json()));
        }
        corpus
    }

    /// A REQ for at most 20 events.
    pub(crate) fn question(&self, question: Question, n: usize) -> String {
        let n = mix(n);
        let filter = match question {
            Question::Hashtag => format!(r##"{{"#t":["{}"],"limit":20}}"##, hashtag(n)),
            Question::Author => {
                let author = &self.authors[n % self.authors.len()];
                format!(r#"{{"authors":["{author}"],"limit":20}}"#)
            }
            Question::Id => format!(r#"{{"ids":["{}"]}}"#, self.ids[n % self.ids.len()]),
            Question::Time => {
                let until = self.first + (n % self.ids.len()) as u64 * STEP;
                format!(r#"{{"kinds":[1],"until":{until},"limit":20}}"#)
            }
        };
        format!(r#"["REQ","q",{filter}]"#)
    }
}

fn hashtag(n: usize) -> String {
    format!("bench-{}", n % HASHTAGS)
}

/// Scatters consecutive numbers (the multiplier of Knuth's multiplicative hashing).
fn mix(n: usize) -> usize {
    (n.wrapping_mul(2_654_435_769) >> 7) & 0xff_ffff
}
