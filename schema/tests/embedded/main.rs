//! The embedded Postgres: its life, its locks, its accidents, what it refuses, what only root
//! meets, and the server that tests share.

#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

mod accidents;
mod helper;
mod life;
mod locks;
mod refusals;
mod root;
mod shared;
