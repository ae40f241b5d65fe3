//! The key-encryption key and the keys it wraps.
//!
//! What always holds here: the database stores keys only wrapped, and the id
//! of the key-encryption key that wrapped them; a wrong or missing one refuses
//! to start, and one gives way to another while everything goes on (`rotation`). Keys for hashing, MACs, cookies, signatures and the audit log are
//! random, so that rotating the key-encryption key changes none of them.

mod deployment;
mod kek;
mod keks;
pub mod kms;
mod ring;
mod sign;
mod tokens;

pub use kek::{Error, FileKey, KeyEncryption, StaticKey};
pub use keks::{Keks, KeySet};
pub use ring::{Jwk, Keyring, Purpose, SigningAlg, SigningKey, TokenKeyRow};

pub(crate) use deployment::Begin;
pub(crate) use kek::{open, seal};
pub(crate) use ring::{WRAPPED, sha256};
