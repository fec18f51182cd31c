//! `bigbrotr keys`: who the node is.

use std::process::ExitCode;

use nostr::ToBech32;

use crate::cli::Options;
use crate::node;
use crate::output::out;
use crate::summary::table;

/// Shows the node's public key, making the key when there is none.
pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let settings = super::quiet(options)?;
    let keys = node::keys(&settings)?;
    let public = keys.public_key();
    let rows = [
        ("npub", public.to_bech32()?),
        ("hex", public.to_hex()),
        ("source", node::describe_source(keys.source())),
    ];
    out!("{}", table("The node's key", &rows));
    Ok(ExitCode::SUCCESS)
}
