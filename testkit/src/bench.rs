//! What a benchmark is started with: its options, and room for its connections.

use std::str::FromStr;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Says whether `--name` is among the arguments.
#[must_use]
pub fn flag(name: &str) -> bool {
    std::env::args().any(|argument| argument == format!("--{name}"))
}

/// Returns the value of `--name` among the arguments.
///
/// # Panics
/// When there is none behind it, or none that can be read: whoever runs a benchmark is told so.
#[must_use]
pub fn given<T: FromStr>(name: &str) -> Option<T> {
    let mut arguments = std::env::args().skip_while(|argument| argument != &format!("--{name}"));
    arguments.next()?;
    let value = arguments
        .next()
        .unwrap_or_else(|| panic!("--{name} needs a value"));
    let value = value.parse().ok();
    Some(value.unwrap_or_else(|| panic!("the value of --{name} cannot be read")))
}

/// Returns the value of `--name` among the arguments, else the default.
///
/// # Panics
/// As [`given`] does.
#[must_use]
pub fn option<T: FromStr>(name: &str, default: T) -> T {
    given(name).unwrap_or(default)
}

/// Lets this process open as many files as it may, each connection being one; returns how many.
pub fn raise_open_files() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let allowed = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    // None is no limit.
    allowed.unwrap_or(u64::MAX)
}
