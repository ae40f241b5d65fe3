//! The vault against lookalike providers, over real HTTP.

mod approved;
mod connect;
mod connection;
mod grant_safety;
mod link;
mod permission;
mod proxy;
mod stage;
mod unlink;
