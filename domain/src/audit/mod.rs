//! The audit log: every use can be proved later (promise 3).
//!
//! What always holds here: an event is inserted in the same write as the thing
//! it tells of, as canonical bytes with their RFC 6962 leaf hash and without an
//! index; the sequencer numbers events afterwards, in batches. No event holds a
//! secret; personal data enters a leaf only as a salted commitment, so that it
//! can be erased without breaking the tree.

mod event;

pub use event::{Event, Kind};
