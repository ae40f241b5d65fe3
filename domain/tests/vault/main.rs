//! The vault against lookalike providers, over real HTTP.

mod approved;
mod connect;
mod connection;
mod grant_safety;
mod link;
mod matrix;
mod matrix_calls;
mod matrix_cells;
mod matrix_links;
mod matrix_page;
mod matrix_story;
mod permission;
mod proxy;
mod stage;
mod unlink;
