//! The audit log: every use can be proved later (promise 3).
//!
//! What always holds here: an event is inserted in the same write as the thing
//! it tells of, as canonical bytes with their RFC 6962 leaf hash and without an
//! index; the sequencer numbers events afterwards, in batches. No event holds a
//! secret; personal data enters a leaf only as a salted commitment, so that it
//! can be erased without breaking the tree.
//!
//! The map: [`Event`] is made by every room's verbs; [`sequencer`] numbers and
//! signs; [`list`] and [`tree`] are what pages show; [`verify`] recomputes all
//! of it from the rows; [`export`] and [`inclusion`] carry proofs out of the
//! house; [`erase`] forgets a person's data.
//!
//! What the rows alone cannot show: that the newest entries *and* their
//! checkpoints were taken away together, or an event before it was numbered.
//! Against the first helps a checkpoint kept elsewhere (`outside`), against the
//! second that numbering takes less than a second.

mod erase;
mod event;
mod export;
mod list;
mod log;
pub mod sequencer;
mod sql;
mod verify;

pub use erase::erase;
pub use event::{Event, Kind};
pub use export::{Exported, Inclusion, attest, export, inclusion};
pub use list::{Cursor, EventView, Filter, MOST, Tree, list, list_for_person, tree};
pub use log::verifier_key;
pub use verify::{Finding, Report, verify};

use crate::storage;

/// What can go wrong in this room.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database.
    #[error(transparent)]
    Storage(#[from] storage::Error),
    /// The stored tree is not the one that was signed last. Nothing is added to
    /// it: a second history under our signature would be worse than a halt.
    #[error(
        "the stored audit tree does not fit the newest checkpoint: {0}; run `attorn audit verify`"
    )]
    Damaged(&'static str),
    /// The log's key cannot be used.
    #[error("the audit log's key cannot sign: {0}")]
    Key(String),
    /// An export could not be written.
    #[error("the export could not be written: {0}")]
    Write(#[from] std::io::Error),
}

#[cfg(test)]
mod tests;
