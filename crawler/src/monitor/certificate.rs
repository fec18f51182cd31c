//! What a relay's certificate says of itself. Whether it is to be believed is decided by TLS, and
//! told beside it: certificates that are refused are read too.

use std::net::IpAddr;

use rustls_pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::x509::X509Name;

use super::limits::{
    MAX_CERTIFICATE_BYTES, MAX_CERTIFICATE_NAMES, MAX_NAME_CHARS, MAX_SERIAL_BYTES, MAX_TEXT_CHARS,
};

/// The leaf of a chain, as far as it can be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Certificate {
    /// SHA-256 of the certificate, hex.
    pub sha256: String,
    /// How many certificates the relay sent.
    pub chain_length: usize,
    /// Whom it is for, as a distinguished name, shortened.
    pub subject: Option<String>,
    /// Who signed it, as a distinguished name, shortened.
    pub issuer: Option<String>,
    /// The name by which the issuer is known: its organisation, or else its common name.
    pub issuer_name: Option<String>,
    /// The hosts that it is for, in order; the first few of them.
    pub names: Vec<String>,
    /// How many hosts it is for.
    pub names_total: usize,
    /// Its start, Unix seconds.
    pub not_before: Option<i64>,
    /// Its end, Unix seconds.
    pub not_after: Option<i64>,
    /// Its number, hex.
    pub serial: Option<String>,
}

impl Certificate {
    /// Reads the leaf of a chain; `None` for an empty chain.
    ///
    /// # Security
    /// The chain is the peer's. TLS bounds its size; what is kept of it is bounded here.
    pub fn read(chain: &[CertificateDer<'_>]) -> Option<Self> {
        let leaf = chain.first()?;
        let mut found = Self {
            sha256: hex::encode(Sha256::digest(leaf.as_ref())),
            chain_length: chain.len(),
            ..Self::default()
        };
        if leaf.len() <= MAX_CERTIFICATE_BYTES
            && let Ok((_, certificate)) = X509Certificate::from_der(leaf.as_ref())
        {
            found.describe(&certificate);
        }
        Some(found)
    }

    fn describe(&mut self, certificate: &X509Certificate<'_>) {
        self.subject = shown(certificate.subject());
        self.issuer = shown(certificate.issuer());
        self.issuer_name = name_of(certificate.issuer());
        let validity = certificate.validity();
        self.not_before = Some(validity.not_before.timestamp());
        self.not_after = Some(validity.not_after.timestamp());
        let serial = certificate.raw_serial();
        self.serial = (serial.len() <= MAX_SERIAL_BYTES).then(|| hex::encode(serial));
        let Ok(Some(extension)) = certificate.subject_alternative_name() else {
            return;
        };
        let all = &extension.value.general_names;
        self.names_total = all.len();
        let mut names: Vec<String> = all.iter().filter_map(host).collect();
        names.sort_unstable();
        names.dedup();
        names.truncate(MAX_CERTIFICATE_NAMES);
        self.names = names;
    }
}

fn host(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(cut(&name.to_ascii_lowercase(), MAX_NAME_CHARS)),
        GeneralName::IPAddress(bytes) => {
            let ip = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let ip = ip.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from));
            ip.ok().map(|ip| ip.to_string())
        }
        _ => None,
    }
}

fn shown(name: &X509Name<'_>) -> Option<String> {
    text(&name.to_string())
}

fn name_of(name: &X509Name<'_>) -> Option<String> {
    let organization = name.iter_organization().next();
    let attribute = organization.or_else(|| name.iter_common_name().next())?;
    text(attribute.as_str().ok()?)
}

/// Keeps the beginning of a text that says something, without control characters.
fn text(text: &str) -> Option<String> {
    let text = cut(text.trim(), MAX_TEXT_CHARS);
    (!text.is_empty()).then_some(text)
}

fn cut(text: &str, chars: usize) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .take(chars)
        .collect()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};

    use super::*;

    fn certificate(names: Vec<String>, subject: &str) -> Certificate {
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, subject);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        Certificate::read(&[certificate.der().clone()]).unwrap()
    }

    #[test]
    fn the_leaf_is_read() {
        let names = ["Relay.example.com", "192.0.2.1", "*.example.com"];
        let read = certificate(names.map(str::to_owned).to_vec(), "Example");
        assert_eq!(
            read.names,
            ["*.example.com", "192.0.2.1", "relay.example.com"]
        );
        assert_eq!(read.subject.as_deref(), Some("CN=Example"));
        assert_eq!(read.issuer_name.as_deref(), Some("Example"));
        assert_eq!(
            (read.not_before, read.not_after),
            (Some(1_577_836_800), Some(1_609_459_200))
        );
        assert_eq!((read.sha256.len(), read.chain_length), (64, 1));
        assert!(read.serial.is_some());
    }

    #[test]
    fn thousands_of_names_and_a_long_subject_are_bounded() {
        let names = (0..2_000).map(|n| format!("{n:05}.example.com")).collect();
        let read = certificate(names, &"x".repeat(5_000));
        assert_eq!(read.names_total, 2_000);
        assert_eq!(read.names.len(), MAX_CERTIFICATE_NAMES);
        assert_eq!(read.names[0], "00000.example.com");
        assert_eq!(read.subject.unwrap().chars().count(), MAX_TEXT_CHARS);
    }

    #[test]
    fn what_cannot_be_read_still_has_a_fingerprint() {
        for bytes in [
            vec![],
            vec![0x30, 0x80, 0xff],
            vec![0; MAX_CERTIFICATE_BYTES + 1],
        ] {
            let read = Certificate::read(&[CertificateDer::from(bytes)]).unwrap();
            assert_eq!((read.sha256.len(), read.subject), (64, None));
        }
        assert_eq!(Certificate::read(&[]), None);
    }
}
