//! The relay over real sockets, on a real Postgres.

mod auth;
mod connections;
mod count;
mod database;
mod fan_out;
mod helper;
mod info;
mod publish;
mod reconcile;
mod rubbish;
mod sdk;
mod subscribe;
