//! The embedded Postgres: its life, its locks, its accidents, what it refuses, and the server
//! that tests share.

mod accidents;
mod helper;
mod life;
mod locks;
mod refusals;
mod root;
mod shared;
