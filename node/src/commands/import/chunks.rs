//! From text to chunks of whole lines, in one blocking thread.

use std::io::{self, BufRead, BufReader, Read};

use tokio::sync::mpsc;

use crate::limits::{IMPORT_CHUNK_BYTES, IMPORT_CHUNK_LINES, IMPORT_LINE_BYTES, IMPORT_READ_BYTES};

/// A place between two lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// Bytes of uncompressed text before it.
    pub(super) offset: u64,
    /// Lines before it.
    pub(super) lines: u64,
}

/// Lines that are parsed and submitted together.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    /// Where it begins.
    pub(super) start: Place,
    /// Where it ends.
    pub(super) end: Place,
    /// Its lines, one after the other.
    text: Vec<u8>,
    /// Where each line ends in the text. A line takes at least one byte: one that takes none was
    /// too long and is not there.
    ends: Vec<usize>,
    /// Whether its last line may go on: the text ends without a line feed. Such a line is a chunk
    /// of its own.
    pub(super) open: bool,
}

impl Chunk {
    /// Iterates over its lines with their numbers from 1; `None` stands for one that was too long.
    pub(super) fn lines(&self) -> impl Iterator<Item = (u64, Option<&[u8]>)> {
        let mut start = 0;
        self.ends.iter().enumerate().map(move |(n, &end)| {
            let line = (end > start).then(|| &self.text[start..end]);
            start = end;
            (self.start.lines + n as u64 + 1, line)
        })
    }

    /// Returns how many bytes its lines take in memory.
    pub(super) fn bytes(&self) -> usize {
        self.text.len()
    }

    fn is_full(&self) -> bool {
        self.ends.len() >= IMPORT_CHUNK_LINES || self.text.len() >= IMPORT_CHUNK_BYTES
    }
}

/// How reading ended.
#[derive(Debug)]
pub(super) struct ReadEnd {
    /// The end of the last line that was read.
    pub(super) at: Place,
    /// What keeps the text from being read on, if it is not its end.
    pub(super) error: Option<io::Error>,
}

/// Cuts text, which begins at `start` of its file, into chunks. Ends early when nobody takes them.
///
/// More of a `live` text may be long in coming: what is there is handed on.
pub(super) fn cut(
    text: impl Read,
    live: bool,
    start: Place,
    chunks: &mpsc::Sender<Chunk>,
) -> ReadEnd {
    let mut reader = BufReader::with_capacity(IMPORT_READ_BYTES, text);
    let mut at = start;
    loop {
        let mut chunk = Chunk {
            start: at,
            end: at,
            ..Chunk::default()
        };
        let ended = fill(&mut chunk, &mut reader, live);
        // A line that was too long has left its room behind.
        chunk.text.shrink_to(2 * chunk.text.len());
        let open_line = split_open_line(&mut chunk);
        for chunk in [Some(chunk), open_line].into_iter().flatten() {
            if chunk.ends.is_empty() {
                continue;
            }
            at = chunk.end;
            if chunks.blocking_send(chunk).is_err() {
                return ReadEnd { at, error: None };
            }
        }
        match ended {
            Ok(false) => {}
            Ok(true) => return ReadEnd { at, error: None },
            Err(error) => {
                let error = Some(error);
                return ReadEnd { at, error };
            }
        }
    }
}

/// Reads lines until the chunk is full, or the next line of a live text is not there yet; says
/// whether the text has ended.
fn fill<R: Read>(chunk: &mut Chunk, reader: &mut BufReader<R>, live: bool) -> io::Result<bool> {
    while !chunk.is_full() {
        if live && !chunk.ends.is_empty() && !reader.buffer().contains(&b'\n') {
            break;
        }
        let start = chunk.text.len();
        // The line feed is not counted.
        let most = IMPORT_LINE_BYTES as u64 + 1;
        let read = reader
            .by_ref()
            .take(most)
            .read_until(b'\n', &mut chunk.text);
        let mut taken = match read {
            Ok(0) => return Ok(true),
            Ok(taken) => taken as u64,
            Err(error) => {
                // The beginning of a line is no line.
                chunk.text.truncate(start);
                return Err(error);
            }
        };
        let ended = chunk.text.last() == Some(&b'\n');
        if !ended && taken == most {
            chunk.text.truncate(start);
            taken += reader.skip_until(b'\n')? as u64;
        } else if !ended {
            chunk.open = true;
        }
        chunk.ends.push(chunk.text.len());
        chunk.end.offset += taken;
        chunk.end.lines += 1;
    }
    Ok(false)
}

/// Takes the line that may go on out of a chunk.
fn split_open_line(chunk: &mut Chunk) -> Option<Chunk> {
    if !chunk.open || chunk.ends.len() < 2 {
        return None;
    }
    let whole = chunk.ends.len() - 1;
    let text = chunk.text.split_off(chunk.ends[whole - 1]);
    let between = Place {
        offset: chunk.end.offset - text.len() as u64,
        lines: chunk.end.lines - 1,
    };
    let open_line = Chunk {
        start: between,
        end: chunk.end,
        ends: vec![text.len()],
        text,
        open: true,
    };
    chunk.ends.truncate(whole);
    chunk.end = between;
    chunk.open = false;
    Some(open_line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: impl Read + Send + 'static, start: Place) -> (Vec<Chunk>, ReadEnd) {
        let (sender, mut receiver) = mpsc::channel(1);
        let thread = std::thread::spawn(move || cut(text, false, start, &sender));
        let mut chunks = Vec::new();
        while let Some(chunk) = receiver.blocking_recv() {
            chunks.push(chunk);
        }
        (chunks, thread.join().unwrap())
    }

    fn lines(chunks: &[Chunk]) -> Vec<(u64, Option<Vec<u8>>)> {
        chunks
            .iter()
            .flat_map(Chunk::lines)
            .map(|(number, line)| (number, line.map(<[u8]>::to_vec)))
            .collect()
    }

    #[test]
    fn every_line_is_in_one_chunk_with_its_number() {
        let numbers: Vec<String> = (1..=2_500).map(|n| n.to_string()).collect();
        let text = numbers.join("\n") + "\n";
        let (chunks, end) = all(io::Cursor::new(text.clone()), Place::default());
        assert_eq!(chunks.len(), 3);
        for (number, line) in lines(&chunks) {
            assert_eq!(line.unwrap(), format!("{number}\n").as_bytes());
        }
        assert!(chunks.windows(2).all(|pair| pair[0].end == pair[1].start));
        let whole = Place {
            offset: text.len() as u64,
            lines: 2_500,
        };
        assert_eq!((end.at, chunks[2].end), (whole, whole));
        assert!(end.error.is_none() && chunks.iter().all(|chunk| !chunk.open));
    }

    #[test]
    fn what_a_live_text_has_is_not_held_back() {
        let (reader, mut writer) = io::pipe().unwrap();
        let (sender, mut receiver) = mpsc::channel(1);
        let thread = std::thread::spawn(move || cut(reader, true, Place::default(), &sender));
        for (text, whole) in [("a\nb\nbegi", 2), ("n\n", 1), ("c\n", 1)] {
            io::Write::write_all(&mut writer, text.as_bytes()).unwrap();
            let chunk = receiver.blocking_recv().unwrap();
            assert_eq!(chunk.lines().count(), whole);
        }
        drop(writer);
        assert!(receiver.blocking_recv().is_none());
        assert_eq!(thread.join().unwrap().at.lines, 4);
    }

    #[test]
    fn a_last_line_without_line_feed_stands_alone() {
        let start = Place {
            offset: 100,
            lines: 7,
        };
        let (chunks, end) = all(&b"a\n\nlast"[..], start);
        assert_eq!(chunks.len(), 2);
        assert_eq!((chunks[0].end.offset, chunks[0].open), (103, false));
        assert_eq!((chunks[1].start, chunks[1].open), (chunks[0].end, true));
        assert_eq!(lines(&chunks)[2], (10, Some(b"last".to_vec())));
        assert_eq!((end.at.offset, end.at.lines), (107, 10));
        let (chunks, _) = all(&b"only"[..], start);
        assert!(chunks.len() == 1 && chunks[0].open);
        assert!(all(io::empty(), start).0.is_empty());
    }

    #[test]
    fn a_line_that_is_too_long_is_not_held() {
        let long = |length| io::repeat(b'x').take(length);
        let most = IMPORT_LINE_BYTES as u64;
        let text = (&b"a\n"[..])
            .chain(long(most))
            .chain(&b"\n"[..])
            .chain(long(most + 1))
            .chain(&b"\n"[..])
            .chain(long(20 * most))
            .chain(&b"\nb\n"[..]);
        let (chunks, end) = all(text, Place::default());
        let lengths: Vec<Option<usize>> = lines(&chunks)
            .iter()
            .map(|(_, line)| line.as_ref().map(Vec::len))
            .collect();
        let longest = IMPORT_LINE_BYTES + 1;
        assert_eq!(lengths, [Some(2), Some(longest), None, None, Some(2)]);
        assert_eq!(end.at.offset, 22 * most + 8);
        let held: usize = chunks.iter().map(|chunk| chunk.text.capacity()).sum();
        assert!(held < 3 * IMPORT_LINE_BYTES, "{held}");
    }

    #[test]
    fn what_is_before_an_error_is_there_and_a_piece_of_a_line_is_not() {
        struct Broken(Option<&'static [u8]>);
        impl Read for Broken {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let text = self.0.take().ok_or(io::ErrorKind::UnexpectedEof)?;
                buffer[..text.len()].copy_from_slice(text);
                Ok(text.len())
            }
        }
        let (chunks, end) = all(Broken(Some(b"a\nb\nthe begi")), Place::default());
        assert_eq!(lines(&chunks).len(), 2);
        assert_eq!((end.at.offset, end.at.lines), (4, 2));
        assert!(end.error.is_some());
    }
}
