//! SHA-256 and the text forms of bytes used in every other module.
//!
//! Decoding is strict: one byte string has exactly one text form, so that a text can be compared, signed and hashed.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

/// A SHA-256 hash.
pub type Hash = [u8; 32];

/// A text that is not the one right form of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not base64 (RFC 4648 §4 with padding, or §5 without, as asked), or not the canonical form of its bytes.
    #[error("not base64 in its only valid form")]
    Base64,
    /// Not lower-case hexadecimal digits in pairs.
    #[error("not lower-case hexadecimal")]
    Hex,
    /// The right alphabet but not as many bytes as wanted.
    #[error("expected {expected} bytes, found {found}")]
    Length {
        /// Bytes wanted.
        expected: usize,
        /// Bytes found.
        found: usize,
    },
}

/// SHA-256 of `bytes` (FIPS 180-4).
#[must_use]
pub fn sha256(bytes: &[u8]) -> Hash {
    Sha256::digest(bytes).into()
}

/// SHA-256 of the parts one after the other, without joining them first.
#[must_use]
pub fn sha256_of(parts: &[&[u8]]) -> Hash {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// base64url without padding (RFC 4648 §5).
#[must_use]
pub fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads base64url without padding; padding and stray trailing bits are refused.
pub fn from_base64url(text: &str) -> Result<Vec<u8>, DecodeError> {
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| DecodeError::Base64)
}

/// Reads base64url of exactly `N` bytes.
pub fn array_from_base64url<const N: usize>(text: &str) -> Result<[u8; N], DecodeError> {
    exactly(from_base64url(text)?)
}

/// Padded standard base64 (RFC 4648 §4), which signed notes use.
#[must_use]
pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Reads padded standard base64; missing padding and stray trailing bits are refused.
pub fn from_base64(text: &str) -> Result<Vec<u8>, DecodeError> {
    STANDARD.decode(text).map_err(|_| DecodeError::Base64)
}

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// Reads lower-case hexadecimal.
pub fn from_hex(text: &str) -> Result<Vec<u8>, DecodeError> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        _ => Err(DecodeError::Hex),
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return Err(DecodeError::Hex);
    }
    pairs
        .iter()
        .map(|[high, low]| Ok(digit(*high)? << 4 | digit(*low)?))
        .collect()
}

/// Reads hexadecimal of exactly `N` bytes.
pub fn array_from_hex<const N: usize>(text: &str) -> Result<[u8; N], DecodeError> {
    exactly(from_hex(text)?)
}

pub(crate) fn exactly<const N: usize>(bytes: Vec<u8>) -> Result<[u8; N], DecodeError> {
    let found = bytes.len();
    bytes
        .try_into()
        .map_err(|_| DecodeError::Length { expected: N, found })
}

/// For `#[serde(with = "evidence::digest::as_base64url")]`: a byte array as base64url text.
pub mod as_base64url {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    /// Writes the bytes as base64url.
    pub fn serialize<S: Serializer, const N: usize>(
        bytes: &[u8; N],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::base64url(bytes))
    }

    /// Reads exactly `N` bytes of base64url.
    pub fn deserialize<'de, D: Deserializer<'de>, const N: usize>(
        deserializer: D,
    ) -> Result<[u8; N], D::Error> {
        super::array_from_base64url(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sha256_gives_the_published_hash_of_abc() {
        // FIPS 180-4, example "abc".
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hex(&sha256(b"abc")), expected);
        assert_eq!(hex(&sha256_of(&[b"a", b"", b"bc"])), expected);
    }

    #[test]
    fn only_one_text_stands_for_some_bytes() {
        assert_eq!(from_base64url("_-8"), Ok(vec![0xff, 0xef]));
        assert_eq!(from_base64url("_-8="), Err(DecodeError::Base64));
        assert_eq!(from_base64url("_-9"), Err(DecodeError::Base64));
        assert_eq!(from_base64url("/+8"), Err(DecodeError::Base64));
        assert_eq!(from_base64("/+8="), Ok(vec![0xff, 0xef]));
        assert_eq!(from_base64("/+8"), Err(DecodeError::Base64));
        assert_eq!(from_hex("FF"), Err(DecodeError::Hex));
        assert_eq!(from_hex("fff"), Err(DecodeError::Hex));
        let short = DecodeError::Length {
            expected: 3,
            found: 2,
        };
        assert_eq!(array_from_hex::<3>("ffef"), Err(short));
    }

    proptest! {
        #[test]
        fn every_text_form_reads_back(bytes in any::<Vec<u8>>()) {
            prop_assert_eq!(from_base64url(&base64url(&bytes)), Ok(bytes.clone()));
            prop_assert_eq!(from_base64(&base64(&bytes)), Ok(bytes.clone()));
            prop_assert_eq!(from_hex(&hex(&bytes)), Ok(bytes));
        }
    }
}
