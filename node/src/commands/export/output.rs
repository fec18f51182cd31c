//! Where an export goes: standard output, or a file that appears when it is whole.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use flate2::write::GzEncoder;
use tempfile::NamedTempFile;

use crate::partial;

/// Room between the events and what takes them: bytes.
const BUFFER_BYTES: usize = 256 * 1024;

/// A place to write an export to.
pub(super) struct Output {
    packer: Packer,
    /// The name that the file gets at the end.
    name: Option<PathBuf>,
}

enum Packer {
    Plain(BufWriter<Target>),
    Gzip(GzEncoder<BufWriter<Target>>),
    Zstd(Box<zstd::stream::write::Encoder<'static, BufWriter<Target>>>),
}

enum Target {
    Stdout(io::Stdout),
    /// A device or a pipe: it cannot be replaced by a file.
    Device(File),
    Temporary(NamedTempFile),
}

impl Output {
    /// Opens a file, or standard output without one or for `-`.
    pub(super) fn open(path: Option<&Path>) -> anyhow::Result<Self> {
        let (target, name) = match path {
            None => (Target::Stdout(io::stdout()), None),
            Some(path) if path.as_os_str() == "-" => (Target::Stdout(io::stdout()), None),
            Some(path) => {
                target(path).with_context(|| format!("cannot write {}", path.display()))?
            }
        };
        let buffer = BufWriter::with_capacity(BUFFER_BYTES, target);
        let extension = path.and_then(Path::extension).unwrap_or_default();
        let packer = if extension.eq_ignore_ascii_case("gz") {
            Packer::Gzip(GzEncoder::new(buffer, flate2::Compression::default()))
        } else if extension.eq_ignore_ascii_case("zst") {
            let level = zstd::DEFAULT_COMPRESSION_LEVEL;
            let mut encoder = zstd::stream::write::Encoder::new(buffer, level)?;
            encoder.include_checksum(true)?;
            Packer::Zstd(Box::new(encoder))
        } else {
            Packer::Plain(buffer)
        };
        Ok(Self { packer, name })
    }

    /// Says whether it becomes a file, which takes what it is given without waiting for anybody.
    pub(super) fn is_file(&self) -> bool {
        self.name.is_some()
    }

    /// Writes everything out and gives the file its name.
    pub(super) fn finish(self) -> io::Result<()> {
        let mut buffer = match self.packer {
            Packer::Plain(buffer) => buffer,
            Packer::Gzip(encoder) => encoder.finish()?,
            Packer::Zstd(encoder) => encoder.finish()?,
        };
        buffer.flush()?;
        let target = buffer
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        if let (Target::Temporary(file), Some(name)) = (target, self.name) {
            file.as_file().sync_all()?;
            file.persist(name).map_err(|failed| failed.error)?;
        }
        Ok(())
    }
}

/// Finds what to write to, and the name that it gets at the end.
fn target(path: &Path) -> io::Result<(Target, Option<PathBuf>)> {
    // A link stays, and what it points to is replaced.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    match fs::metadata(&path) {
        Ok(found) if found.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
        Ok(found) if !found.is_file() => {
            let device = File::options().write(true).open(&path)?;
            return Ok((Target::Device(device), None));
        }
        _ => {}
    }
    let file = partial::beside(&path, 0o666)?;
    Ok((Target::Temporary(file), Some(path)))
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.packer {
            Packer::Plain(writer) => writer.write(bytes),
            Packer::Gzip(writer) => writer.write(bytes),
            Packer::Zstd(writer) => writer.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.packer {
            Packer::Plain(writer) => writer.flush(),
            Packer::Gzip(writer) => writer.flush(),
            Packer::Zstd(writer) => writer.flush(),
        }
    }
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(writer) => writer.write(bytes),
            Self::Device(writer) => writer.write(bytes),
            Self::Temporary(writer) => writer.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(writer) => writer.flush(),
            Self::Device(writer) => writer.flush(),
            Self::Temporary(writer) => writer.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_appears_when_it_is_whole_and_never_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        fs::write(&path, "old").unwrap();
        let mut output = Output::open(Some(&path)).unwrap();
        output.write_all(b"new\n").unwrap();
        output.flush().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        drop(output);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["events.jsonl"]);

        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let mut output = Output::open(Some(&link)).unwrap();
        output.write_all(b"new\n").unwrap();
        output.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new\n");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(names(folder.path()), ["events.jsonl", "link"]);
    }

    #[test]
    fn the_name_says_how_it_is_packed() {
        let folder = tempfile::tempdir().unwrap();
        for (name, magic) in [
            ("a.jsonl.gz", &b"\x1f\x8b"[..]),
            ("a.ZST", b"\x28\xb5\x2f\xfd"),
        ] {
            let path = folder.path().join(name);
            let mut output = Output::open(Some(&path)).unwrap();
            output.write_all(b"text").unwrap();
            output.finish().unwrap();
            assert!(fs::read(&path).unwrap().starts_with(magic), "{name}");
        }
    }

    #[test]
    fn a_device_is_written_to_and_a_folder_is_refused() {
        let mut output = Output::open(Some(Path::new("/dev/null"))).unwrap();
        output.write_all(b"text").unwrap();
        output.finish().unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
        let folder = tempfile::tempdir().unwrap();
        assert!(Output::open(Some(folder.path())).is_err());
        assert!(Output::open(Some(&folder.path().join("none/x"))).is_err());
    }
}
