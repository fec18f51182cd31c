//! `properties::nip11`.

#![no_main]

#[path = "../properties.rs"]
#[allow(dead_code, reason = "each target has its own")]
mod properties;

libfuzzer_sys::fuzz_target!(|body: &[u8]| properties::nip11(body));
