//! The embedded agent, and agents outside, against lookalike providers.

mod calls;
mod carried_out;
mod consent;
mod house;
mod policy;
mod runs;
#[path = "../vault/stage.rs"]
#[allow(dead_code, reason = "the vault's tests use the rest")]
mod stage;
