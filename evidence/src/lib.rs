//! What must read the same everywhere.
//!
//! Attorn promises that what a person approved is what runs, and that every use can be proved later to somebody who
//! trusts neither the operator nor the database. Both promises rest on bytes: the bytes a passkey signs, the bytes an
//! audit entry hashes to, the bytes a checkpoint is made of. This crate is the one place that says which bytes those
//! are. The server writes them, the browser computes them again from what it shows, and the stand-alone verifier reads
//! them years later on another machine; all three compile this same code. So it is a leaf: no I/O, no clock, no
//! randomness of its own, and it builds for WebAssembly. Signing and checking signatures are behind the feature
//! `signatures`, because they bring a crypto library that the browser does not need.
//!
//! The map, from the ground up:
//!
//! | module | what is in it |
//! |---|---|
//! | [`digest`] | SHA-256 and the text forms of bytes |
//! | [`json`] | the strict parser for JSON from a network, and canonical JSON (RFC 8785) |
//! | [`merkle`] | the tree of RFC 9162: frontier, inclusion and consistency proofs |
//! | [`leaf`] | one entry of the audit log, and salted commitments to personal data |
//! | [`note`] | signed notes and verifier keys (C2SP signed-note) |
//! | [`checkpoint`] | the log's signed promise over a tree (C2SP tlog-checkpoint) |
//! | [`verify`] | checks an export against checkpoints and names what is wrong with it |
//! | [`challenge`] | the bytes a decision's passkey signs |
//! | [`decision`] | a decision with everything that proves it |
//! | [`webauthn`] | what a passkey answers, checked (W3C Web Authentication Level 3) |
//!
//! What always holds: a change of any of these formats is a new version beside the old one, never a change of the old
//! one, because entries and signatures that exist must go on verifying.

pub mod challenge;
pub mod checkpoint;
pub mod decision;
pub mod digest;
#[cfg(any(test, feature = "testing"))]
pub mod fuzz;
pub mod json;
pub mod leaf;
pub mod merkle;
pub mod note;
pub mod verify;
pub mod webauthn;
