//! `properties::job_parameter`.

#![no_main]

#[path = "../properties.rs"]
#[allow(dead_code, reason = "each target has its own")]
mod properties;

libfuzzer_sys::fuzz_target!(|text: &str| properties::job_parameter(text));
