//! Where an address is, and in whose network: from databases in MaxMind's format, where the
//! operator has them.
//!
//! A database is read into memory once, and again when its file has changed. One that cannot be
//! read is told once and left out: a check never fails for it.

use std::error::Error;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use maxminddb::{MaxMindDbError, Reader, geoip2};
use tokio::time::Instant;

use super::config::MonitorConfig;
use super::limits::{GEO_RELOAD_INTERVAL, GEOHASH_CHARS, MAX_DATABASE_BYTES, MAX_TEXT_CHARS};

/// Where an address is, as far as the database knows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Place {
    /// ISO 3166-1 alpha-2.
    pub country: Option<String>,
    /// Two letters, such as `EU`.
    pub continent: Option<String>,
    /// Its English name.
    pub city: Option<String>,
    /// Degrees north.
    pub latitude: Option<f64>,
    /// Degrees east.
    pub longitude: Option<f64>,
    /// IANA time zone.
    pub time_zone: Option<String>,
    /// Geohash: as many characters as the database is exact.
    pub geohash: Option<String>,
}

/// In whose network an address is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AutonomousSystem {
    /// Its number.
    pub number: Option<u32>,
    /// Whose it is.
    pub organization: Option<String>,
}

/// What the databases know of an address.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Location {
    /// Where it is.
    pub place: Option<Place>,
    /// In whose network.
    pub network: Option<AutonomousSystem>,
}

/// The databases that are configured.
#[derive(Debug, Clone, Default)]
pub struct GeoDatabases {
    city: Option<Database>,
    asn: Option<Database>,
}

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GeoError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is too large to be one.
    #[error("{} has {bytes} bytes, {MAX_DATABASE_BYTES} are allowed", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// The file is no database.
    #[error("{} is no database in MaxMind's format", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: MaxMindDbError,
    },
}

impl GeoDatabases {
    /// Reads the databases of a configuration; tells which cannot be read.
    pub fn open(config: &MonitorConfig) -> (Self, Vec<GeoError>) {
        let mut errors = Vec::new();
        let mut open = |wanted: bool, path: &Path| {
            if !wanted || path.as_os_str().is_empty() {
                return None;
            }
            match Database::open(path) {
                Ok(database) => Some(database),
                Err(error) => {
                    errors.push(error);
                    None
                }
            }
        };
        let databases = Self {
            city: open(config.geo, &config.geo_city_database),
            asn: open(config.net, &config.geo_asn_database),
        };
        (databases, errors)
    }

    /// Says whether places can be looked up.
    pub fn has_places(&self) -> bool {
        self.city.is_some()
    }

    /// Says whether networks can be looked up.
    pub fn has_networks(&self) -> bool {
        self.asn.is_some()
    }

    /// Looks an address up.
    pub async fn locate(&self, ip: IpAddr) -> Location {
        let mut location = Location::default();
        if let Some(database) = &self.city {
            location.place = database.current().await.lookup(ip, place);
        }
        if let Some(database) = &self.asn {
            location.network = database.current().await.lookup(ip, network);
        }
        location
    }
}

/// One database: what was read, and when its file was last looked at.
#[derive(Debug, Clone)]
struct Database(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Clone)]
struct State {
    reader: Loaded,
    looked_at: Instant,
}

/// A database in memory.
#[derive(Debug, Clone)]
struct Loaded {
    reader: Arc<Reader<Vec<u8>>>,
    modified: Option<SystemTime>,
}

impl Database {
    fn open(path: &Path) -> Result<Self, GeoError> {
        let state = Mutex::new(State {
            reader: Loaded::read(path)?,
            looked_at: Instant::now(),
        });
        let path = path.to_owned();
        Ok(Self(Arc::new(Inner { path, state })))
    }

    /// Returns the database, read again if its file has changed.
    async fn current(&self) -> Loaded {
        let known = {
            let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
            if state.looked_at.elapsed() < GEO_RELOAD_INTERVAL {
                return state.reader.clone();
            }
            // Whoever comes meanwhile goes on with what there is.
            state.looked_at = Instant::now();
            state.reader.clone()
        };
        let path = self.0.path.clone();
        let before = known.modified;
        let look = move || (modified(&path) != before).then(|| Loaded::read(&path));
        let changed = tokio::task::spawn_blocking(look).await.ok().flatten();
        match changed {
            None => known,
            Some(Ok(loaded)) => {
                tracing::info!(path = %self.0.path.display(), "geo database read again");
                let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
                state.reader = loaded.clone();
                loaded
            }
            Some(Err(error)) => {
                tracing::warn!(
                    error = &error as &dyn Error,
                    "geo database has changed and cannot be read: the old one stays in use",
                );
                known
            }
        }
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).ok()?.modified().ok()
}

impl Loaded {
    fn read(path: &Path) -> Result<Self, GeoError> {
        let failed = |source| GeoError::Read {
            path: path.to_owned(),
            source,
        };
        let metadata = std::fs::metadata(path).map_err(failed)?;
        if metadata.len() > MAX_DATABASE_BYTES {
            return Err(GeoError::TooLarge {
                path: path.to_owned(),
                bytes: metadata.len(),
            });
        }
        let bytes = std::fs::read(path).map_err(failed)?;
        let reader = Reader::from_source(bytes).map_err(|source| GeoError::Format {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            reader: Arc::new(reader),
            modified: metadata.modified().ok(),
        })
    }

    /// A broken entry is no entry.
    fn lookup<T>(
        &self,
        ip: IpAddr,
        read: impl Fn(&Reader<Vec<u8>>, IpAddr) -> Result<Option<T>, MaxMindDbError>,
    ) -> Option<T> {
        match read(&self.reader, ip) {
            Ok(found) => found,
            Err(error) => {
                tracing::debug!(%error, "geo database has a broken entry");
                None
            }
        }
    }
}

fn place(reader: &Reader<Vec<u8>>, ip: IpAddr) -> Result<Option<Place>, MaxMindDbError> {
    let Some(found) = reader.lookup(ip)?.decode::<geoip2::City<'_>>()? else {
        return Ok(None);
    };
    let (latitude, longitude) = (found.location.latitude, found.location.longitude);
    let geohash = latitude.zip(longitude).and_then(|(latitude, longitude)| {
        let at = geohash::Coord {
            x: longitude,
            y: latitude,
        };
        geohash::encode(at, GEOHASH_CHARS).ok()
    });
    let country = found.country.iso_code.or(found.registered_country.iso_code);
    Ok(Some(Place {
        country: country.filter(|code| is_code(code)).map(ToOwned::to_owned),
        continent: short(found.continent.code),
        city: short(found.city.names.english),
        latitude,
        longitude,
        time_zone: short(found.location.time_zone),
        geohash,
    }))
}

fn network(
    reader: &Reader<Vec<u8>>,
    ip: IpAddr,
) -> Result<Option<AutonomousSystem>, MaxMindDbError> {
    let found = reader.lookup(ip)?.decode::<geoip2::Asn<'_>>()?;
    Ok(found.map(|found| AutonomousSystem {
        number: found.autonomous_system_number,
        organization: short(found.autonomous_system_organization),
    }))
}

fn is_code(code: &str) -> bool {
    code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_uppercase())
}

fn short(text: Option<&str>) -> Option<String> {
    let text = text?.trim();
    (!text.is_empty()).then(|| text.chars().take(MAX_TEXT_CHARS).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_that_cannot_be_read_are_told_and_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let rubbish = folder.path().join("rubbish.mmdb");
        std::fs::write(&rubbish, b"no database").unwrap();
        let config = MonitorConfig {
            geo_city_database: folder.path().join("missing.mmdb"),
            geo_asn_database: rubbish,
            ..MonitorConfig::default()
        };
        let (databases, errors) = GeoDatabases::open(&config);
        assert!(!databases.has_places() && !databases.has_networks());
        assert!(matches!(
            errors.as_slice(),
            [GeoError::Read { .. }, GeoError::Format { .. }]
        ));
        let off = MonitorConfig {
            geo: false,
            net: false,
            ..config
        };
        assert!(GeoDatabases::open(&off).1.is_empty());
    }
}
