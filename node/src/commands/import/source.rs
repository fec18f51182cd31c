//! Where the lines come from: a file or a stream, compressed or not.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, bail};
use flate2::read::MultiGzDecoder;

/// How the text is packed. Told by the first bytes, never by the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Plain,
    Gzip,
    Zstd,
}

impl Format {
    fn detect(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, ..] => Self::Gzip,
            // A frame, or a skippable frame as parallel compressors put it first.
            [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Self::Zstd,
            _ => Self::Plain,
        }
    }
}

/// What is imported.
pub(super) enum Input {
    /// A regular file: it can be read again.
    File(File),
    /// Standard input, a pipe: it is read once.
    Stream(Box<dyn Read + Send>),
}

impl Input {
    /// Opens a file, or standard input for `-`.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        if path.as_os_str() == "-" {
            return Ok(Self::Stream(Box::new(io::stdin())));
        }
        let cannot = || format!("cannot read {}", path.display());
        let file = File::open(path).with_context(cannot)?;
        let kind = file.metadata().with_context(cannot)?.file_type();
        if kind.is_dir() {
            bail!("cannot read {}: it is a directory", path.display());
        }
        Ok(if kind.is_file() {
            Self::File(file)
        } else {
            Self::Stream(Box::new(file))
        })
    }

    /// Returns the uncompressed text from `offset` bytes on; `read` counts bytes as they are in
    /// the file. A stream has no offset but 0.
    pub(super) fn text(
        self,
        offset: u64,
        read: Arc<AtomicU64>,
    ) -> io::Result<(Format, Box<dyn Read + Send>)> {
        let (format, raw): (_, Box<dyn Read + Send>) = match self {
            Self::File(mut file) => {
                file.rewind()?;
                let format = Format::detect(&head(&mut file)?);
                let start = if format == Format::Plain { offset } else { 0 };
                file.seek(SeekFrom::Start(start))?;
                read.store(start, Ordering::Relaxed);
                (format, Box::new(Counted { inner: file, read }))
            }
            Self::Stream(stream) => {
                let mut stream = Counted {
                    inner: stream,
                    read,
                };
                let head = head(&mut stream)?;
                let format = Format::detect(&head);
                (format, Box::new(Cursor::new(head).chain(stream)))
            }
        };
        let mut text: Box<dyn Read + Send> = match format {
            Format::Plain => return Ok((format, raw)),
            Format::Gzip => Box::new(MultiGzDecoder::new(raw)),
            // Refuses windows above 128 MiB, which is all that a decoder may have to hold.
            Format::Zstd => Box::new(zstd::stream::read::Decoder::new(raw)?),
        };
        // There is no way into the middle but through the beginning.
        let skipped = io::copy(&mut text.by_ref().take(offset), &mut io::sink())?;
        if skipped < offset {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok((format, text))
    }
}

fn head(reader: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(4);
    reader.by_ref().take(4).read_to_end(&mut head)?;
    Ok(head)
}

/// Counts what is read.
struct Counted<R> {
    inner: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.inner.read(buffer)?;
        self.read.fetch_add(bytes as u64, Ordering::Relaxed);
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const TEXT: &[u8] = b"first line\nsecond line\n";

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(text: &[u8]) -> Vec<u8> {
        zstd::encode_all(text, 1).unwrap()
    }

    fn read(bytes: &[u8], file: bool, offset: u64) -> (Format, io::Result<Vec<u8>>, u64) {
        let input = if file {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(bytes).unwrap();
            Input::File(file)
        } else {
            Input::Stream(Box::new(Cursor::new(bytes.to_vec())))
        };
        let counter = Arc::new(AtomicU64::new(0));
        let (format, mut text) = input.text(offset, Arc::clone(&counter)).unwrap();
        let mut all = Vec::new();
        let outcome = text.read_to_end(&mut all).map(|_| all);
        (format, outcome, counter.load(Ordering::Relaxed))
    }

    #[test]
    fn packed_text_is_recognised_in_files_and_streams() {
        let skippable = [
            &[0x53, 0x2a, 0x4d, 0x18, 4, 0, 0, 0][..],
            b"1234",
            &zstd(TEXT),
        ]
        .concat();
        for (bytes, format) in [
            (TEXT.to_vec(), Format::Plain),
            (gzip(TEXT), Format::Gzip),
            (
                [gzip(&TEXT[..11]), gzip(&TEXT[11..])].concat(),
                Format::Gzip,
            ),
            (zstd(TEXT), Format::Zstd),
            (
                [zstd(&TEXT[..11]), zstd(&TEXT[11..])].concat(),
                Format::Zstd,
            ),
            (skippable, Format::Zstd),
        ] {
            for file in [true, false] {
                let (found, text, count) = read(&bytes, file, 0);
                assert_eq!((found, &*text.unwrap()), (format, TEXT));
                assert_eq!(count, bytes.len() as u64);
            }
            let (_, text, count) = read(&bytes, true, 11);
            assert_eq!((&*text.unwrap(), count), (&TEXT[11..], bytes.len() as u64));
        }
        for short in [&b""[..], b"\n", b"\x1f", b"(\xb5/"] {
            assert_eq!(read(short, false, 0).0, Format::Plain);
            assert_eq!(read(short, true, 0).1.unwrap(), short);
        }
    }

    #[test]
    fn a_cut_file_gives_what_it_has_and_then_an_error() {
        let text: Vec<u8> = (0..200_000_u32).flat_map(u32::to_be_bytes).collect();
        for whole in [gzip(&text), zstd(&text)] {
            let input = Input::Stream(Box::new(Cursor::new(whole[..whole.len() / 2].to_vec())));
            let (_, mut reader) = input.text(0, Arc::default()).unwrap();
            let mut all = Vec::new();
            let error = reader.read_to_end(&mut all).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{error}");
            assert!(all.len() > text.len() / 4 && text.starts_with(&all));
        }
    }
}
