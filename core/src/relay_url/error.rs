//! Owns the reasons for which a relay URL is refused, as text for people and labels for metrics.

use std::net::IpAddr;

use thiserror::Error;

use super::MAX_URL_BYTES;

/// Why a text is not a relay URL that we would dial.
///
/// The values shown come from strangers and are escaped; user info and keys are never shown.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RelayUrlError {
    /// The URL, as given or normalised, exceeds [`MAX_URL_BYTES`].
    #[error("relay url of {length_bytes} bytes is longer than {MAX_URL_BYTES}")]
    TooLong {
        /// Its length in bytes.
        length_bytes: usize,
    },
    /// A space, tab or line break, anywhere.
    #[error("relay url contains white space {character:?}")]
    Whitespace {
        /// The character found.
        character: char,
    },
    /// A control character such as NUL, anywhere.
    #[error("relay url contains control character {character:?}")]
    ControlCharacter {
        /// The character found.
        character: char,
    },
    /// A character that shows nothing or reorders what is shown.
    #[error("relay url contains invisible character {character:?}")]
    InvisibleCharacter {
        /// The character found.
        character: char,
    },
    /// A visible character that is not allowed where it stands.
    #[error("relay url contains character {character:?} where it is not allowed")]
    InvalidCharacter {
        /// The character found.
        character: char,
    },
    /// `[object Object]`: a program wrote an object where it meant a URL.
    #[error("relay url is a program's object written as text")]
    StringifiedObject,
    /// A NIP-19 entity such as an npub.
    #[error("relay url is a nostr entity starting with {prefix:?}")]
    NostrEntity {
        /// The start of the entity; never the rest, which may be secret.
        prefix: &'static str,
    },
    /// No scheme.
    #[error("relay url has no scheme: expected ws:// or wss://")]
    MissingScheme,
    /// A scheme other than `ws` and `wss`.
    #[error("relay url has scheme {scheme:?}: expected ws or wss")]
    UnsupportedScheme {
        /// The scheme, in lower case.
        scheme: String,
    },
    /// `wss:host` without the two slashes.
    #[error("relay url has no // after its scheme")]
    MissingSlashes,
    /// A second scheme where the host belongs.
    #[error("relay url has a second scheme {scheme:?} where its host belongs")]
    NestedScheme {
        /// The second scheme.
        scheme: &'static str,
    },
    /// Several URLs in one text.
    #[error("relay url is several urls in one")]
    JoinedUrls,
    /// No host.
    #[error("relay url has no host")]
    EmptyHost,
    /// A host name that UTS 46 does not allow, or whose escapes are not UTF-8.
    #[error("host {host:?} is not a valid internationalised name")]
    InvalidName {
        /// The host.
        host: String,
    },
    /// A host name longer than DNS carries.
    #[error("host of {length_bytes} bytes is longer than 253")]
    HostTooLong {
        /// Its length in bytes.
        length_bytes: usize,
    },
    /// Two dots in a row, or one in front.
    #[error("host {host:?} has an empty label")]
    EmptyLabel {
        /// The host.
        host: String,
    },
    /// A label longer than DNS carries.
    #[error("host label of {length_bytes} bytes is longer than 63")]
    LabelTooLong {
        /// Its length in bytes.
        length_bytes: usize,
    },
    /// A hyphen at the start or end of a label.
    #[error("host label {label:?} starts or ends with a hyphen")]
    LabelHyphen {
        /// The label.
        label: String,
    },
    /// A name without a dot.
    #[error("host {host:?} is a single label")]
    SingleLabel {
        /// The host.
        host: String,
    },
    /// A name whose last label is a number.
    #[error("host {host:?} has a number as its last label")]
    NumericTld {
        /// The host.
        host: String,
    },
    /// Numbers that are not a dotted quad.
    #[error("host {host:?} is not an ipv4 address of four decimal numbers")]
    InvalidIpv4 {
        /// The host.
        host: String,
    },
    /// Brackets around something else than an IPv6 address.
    #[error("host {address:?} is not an ipv6 address")]
    InvalidIpv6 {
        /// What was written.
        address: String,
    },
    /// An IPv6 address without brackets.
    #[error("ipv6 address {address:?} is not in brackets")]
    UnbracketedIpv6 {
        /// What was written.
        address: String,
    },
    /// A port that is not a number from 1 to 65535.
    #[error("port {port:?} is not a number from 1 to 65535")]
    InvalidPort {
        /// What was written.
        port: String,
    },
    /// A name that leads to no public host, while private networks are not allowed.
    #[error("host {host:?} is a private name")]
    PrivateName {
        /// The host.
        host: String,
    },
    /// A special-purpose address, while private networks are not allowed.
    #[error("address {ip} is private or for a special purpose")]
    SpecialAddress {
        /// The address.
        ip: IpAddr,
    },
    /// A version 2 onion address, which Tor has not served since 2021.
    #[error("onion address is version 2, which no longer exists")]
    OnionV2,
    /// An onion address of no known version's length.
    #[error("onion address has {characters} characters: expected 56")]
    OnionLength {
        /// Its length in characters.
        characters: usize,
    },
    /// An onion address that is not base32.
    #[error("onion address {address:?} is not base32")]
    OnionAlphabet {
        /// The address without `.onion`.
        address: String,
    },
    /// An onion address whose checksum or version byte is wrong: most likely a typo.
    #[error("onion address {address:?} fails its checksum")]
    OnionChecksum {
        /// The address without `.onion`.
        address: String,
    },
    /// A `.b32.i2p` name that is not one hash of 52 base32 characters.
    #[error("i2p address {host:?} is not 52 base32 characters before .b32.i2p")]
    I2pAddress {
        /// The host.
        host: String,
    },
    /// A `.loki` name that is not a key of 52 base32 characters.
    #[error("lokinet address {host:?} is not 52 base32 characters before .loki")]
    LokiAddress {
        /// The host.
        host: String,
    },
    /// `exit.loki`, a gateway and not a relay.
    #[error("exit.loki is a gateway")]
    LokiExit,
    /// A relay URL in a spelling that is not the canonical one.
    #[error("relay url is not in its canonical form")]
    NotCanonical,
}

impl RelayUrlError {
    /// Returns the reason as a short label from a closed set, for metrics.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "too_long",
            Self::Whitespace { .. } => "whitespace",
            Self::ControlCharacter { .. } => "control_character",
            Self::InvisibleCharacter { .. } => "invisible_character",
            Self::InvalidCharacter { .. } => "invalid_character",
            Self::StringifiedObject => "stringified_object",
            Self::NostrEntity { .. } => "nostr_entity",
            Self::MissingScheme => "missing_scheme",
            Self::UnsupportedScheme { .. } => "unsupported_scheme",
            Self::MissingSlashes => "missing_slashes",
            Self::NestedScheme { .. } => "nested_scheme",
            Self::JoinedUrls => "joined_urls",
            Self::EmptyHost => "empty_host",
            Self::InvalidName { .. } => "invalid_name",
            Self::HostTooLong { .. } => "host_too_long",
            Self::EmptyLabel { .. } => "empty_label",
            Self::LabelTooLong { .. } => "label_too_long",
            Self::LabelHyphen { .. } => "label_hyphen",
            Self::SingleLabel { .. } => "single_label",
            Self::NumericTld { .. } => "numeric_tld",
            Self::InvalidIpv4 { .. } => "invalid_ipv4",
            Self::InvalidIpv6 { .. } => "invalid_ipv6",
            Self::UnbracketedIpv6 { .. } => "unbracketed_ipv6",
            Self::InvalidPort { .. } => "invalid_port",
            Self::PrivateName { .. } => "private_name",
            Self::SpecialAddress { .. } => "special_address",
            Self::OnionV2 => "onion_v2",
            Self::OnionLength { .. } => "onion_length",
            Self::OnionAlphabet { .. } => "onion_alphabet",
            Self::OnionChecksum { .. } => "onion_checksum",
            Self::I2pAddress { .. } => "i2p_address",
            Self::LokiAddress { .. } => "loki_address",
            Self::LokiExit => "loki_exit",
            Self::NotCanonical => "not_canonical",
        }
    }
}
