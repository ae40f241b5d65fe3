//! The vault against lookalike providers, over real HTTP.

mod adoption;
mod ahead;
mod approved;
mod breaker;
mod catalogue;
mod connect;
mod connection;
mod grant_safety;
mod late_answers;
mod link;
mod lookalike;
mod matrix;
mod matrix_calls;
mod matrix_cells;
mod matrix_links;
mod matrix_page;
mod matrix_story;
mod openid;
mod passing;
mod permission;
mod processes;
mod provider_docs;
mod proxy;
mod stage;
mod suspect;
mod unlink;
