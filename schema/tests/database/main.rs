//! The database as a whole: what its roles may do, how it is migrated, the interface that every
//! implementation keeps, and implementations' own SQL.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod helper;
mod interface;
mod logins;
mod migrations;
mod overlays;
mod privileges;
mod public_role;
mod transactions;
mod upgrade;
mod upgrade_steps;
