//! Words for contents: several scripts, emoji, line breaks and now and then a control character.

use rand::Rng;

const LATIN: [&str; 40] = [
    "the",
    "relay",
    "nostr",
    "note",
    "zap",
    "bitcoin",
    "good",
    "morning",
    "today",
    "freedom",
    "client",
    "people",
    "time",
    "just",
    "really",
    "about",
    "would",
    "think",
    "more",
    "world",
    "café",
    "straße",
    "mañana",
    "naïve",
    "coração",
    "price",
    "sats",
    "block",
    "network",
    "open",
    "protocol",
    "key",
    "sign",
    "event",
    "listen",
    "music",
    "coffee",
    "walk",
    "\"quoted\"",
    "C:\\path",
];
const OTHER: [&str; 24] = [
    "こんにちは",
    "世界",
    "今日は",
    "中本聪",
    "自由",
    "サトシ",
    "привет",
    "мир",
    "свобода",
    "сегодня",
    "مرحبا",
    "שלום",
    "สวัสดี",
    "안녕하세요",
    "नमस्ते",
    "γειά",
    "🔥",
    "🤙",
    "💜⚡",
    "👨‍👩‍👧‍👦",
    "🇨🇭",
    "𝕏",
    "e\u{301}",
    "\u{200d}",
];
const HASHTAGS: [&str; 12] = [
    "nostr",
    "bitcoin",
    "grownostr",
    "photography",
    "art",
    "news",
    "日本語",
    "plebchain",
    "food",
    "music",
    "dev",
    "asknostr",
];
const REACTIONS: [&str; 8] = ["+", "+", "+", "-", "🤙", "❤️", "🔥", ":soapbox:"];

fn pick<'a>(rng: &mut impl Rng, words: &[&'a str]) -> &'a str {
    words[rng.random_range(0..words.len())]
}

/// Draws a hashtag without its sign.
pub(super) fn hashtag(rng: &mut impl Rng) -> &'static str {
    pick(rng, &HASHTAGS)
}

/// Draws what kind 7 events say.
pub(super) fn reaction(rng: &mut impl Rng) -> String {
    pick(rng, &REACTIONS).to_owned()
}

/// Draws a line of words, mostly Latin.
pub(super) fn sentence(rng: &mut impl Rng, words: usize) -> String {
    let foreign = rng.random_bool(0.25);
    let mut text = String::new();
    for n in 0..words {
        if n > 0 {
            text.push(' ');
        }
        let other = rng.random_bool(if foreign { 0.6 } else { 0.05 });
        text.push_str(if other {
            pick(rng, &OTHER)
        } else {
            pick(rng, &LATIN)
        });
    }
    text
}

/// Draws the content of a note: many short ones, a long tail.
pub(super) fn note(rng: &mut impl Rng) -> String {
    let words = match rng.random_range(0..100) {
        0..25 => rng.random_range(1..8),
        25..75 => rng.random_range(8..40),
        75..95 => rng.random_range(40..120),
        _ => rng.random_range(120..400),
    };
    let mut text = String::new();
    let mut left = words;
    while left > 0 {
        let line = rng.random_range(1..=left.min(25));
        if !text.is_empty() {
            text.push_str(if rng.random_bool(0.3) { "\n\n" } else { "\n" });
        }
        text.push_str(&sentence(rng, line));
        left -= line;
    }
    // One in 500: Postgres text and jsonb refuse it, Nostr does not.
    if rng.random_bool(0.002) {
        text.push_str(" \0 \u{1f}\t\u{7f}\u{2028}");
    }
    if rng.random_bool(0.1) {
        text.push_str(" https://img.example/");
        text.push_str(&rng.random::<u32>().to_string());
        text.push_str(".jpg");
    }
    text
}

/// Draws a long-form article in Markdown.
pub(super) fn article(rng: &mut impl Rng) -> String {
    let mut text = String::new();
    for n in 0..rng.random_range(3..12) {
        text.push_str("## ");
        text.push_str(&sentence(rng, 4));
        text.push_str("\n\n");
        let length = 40 + n * 3;
        text.push_str(&sentence(rng, length));
        text.push_str("\n\n");
    }
    text
}
