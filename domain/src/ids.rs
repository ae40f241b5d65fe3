//! Ids, random tokens and where randomness comes from.
//!
//! Ids are `prefix_` + 26 characters: 48 bits of time, 80 random bits, in
//! Crockford base 32, so that they sort by age. Our own tokens are `prefix_` +
//! 256 random bits + a checksum: a typo is refused before any look-up, and a
//! secret scanner can find a leaked one by its shape.

use aws_lc_rs::{digest, rand};
use std::sync::Mutex;

use crate::secret::Secret;

/// A source of randomness.
pub trait Rng: Send + Sync + 'static {
    /// Fills `out` with random bytes.
    fn fill(&self, out: &mut [u8]);
}

/// The operating system's randomness, through the crypto library.
pub struct SystemRng;

impl Rng for SystemRng {
    fn fill(&self, out: &mut [u8]) {
        // Fails only when the operating system has no randomness at all; then
        // nothing this program does is safe and stopping is the only answer.
        #[allow(
            clippy::expect_used,
            clippy::disallowed_methods,
            reason = "the one place that asks the system; no randomness: stop"
        )]
        rand::fill(out).expect("the operating system gives random bytes");
    }
}

/// Randomness that repeats, for tests only: SHA-256 over a seed and a counter.
pub struct SeededRng {
    seed: u64,
    counter: Mutex<u64>,
}

impl SeededRng {
    /// The same seed gives the same bytes.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self {
            seed,
            counter: Mutex::new(0),
        }
    }
}

impl Rng for SeededRng {
    fn fill(&self, out: &mut [u8]) {
        let mut counter = self
            .counter
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        for chunk in out.chunks_mut(32) {
            *counter += 1;
            let block = [self.seed.to_be_bytes(), counter.to_be_bytes()].concat();
            chunk.copy_from_slice(&digest::digest(&digest::SHA256, &block).as_ref()[..chunk.len()]);
        }
    }
}

/// Random bytes of a fixed length.
pub fn random<const N: usize>(rng: &dyn Rng) -> [u8; N] {
    let mut out = [0; N];
    rng.fill(&mut out);
    out
}

const CROCKFORD: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A new id: `prefix_` and 26 characters that sort by `now` (Unix milliseconds).
pub fn id(prefix: &str, now: i64, rng: &dyn Rng) -> String {
    let tail = u128::from_be_bytes({
        let mut bytes = [0; 16];
        rng.fill(&mut bytes[6..]);
        bytes
    });
    let time = u128::try_from(now.max(0)).unwrap_or(0) & ((1 << 48) - 1);
    let value = (time << 80) | tail;
    let mut out = String::with_capacity(prefix.len() + 27);
    out.push_str(prefix);
    out.push('_');
    for digit in (0..26).rev() {
        out.push(char::from(
            CROCKFORD[usize::try_from((value >> (digit * 5)) & 31).unwrap_or(0)],
        ));
    }
    out
}

fn base62(bytes: &[u8], out: &mut String) {
    // Six bits at a time would need 64 letters; taking bytes modulo 62 in a
    // wide number keeps all entropy and only letters and digits.
    for chunk in bytes.chunks(8) {
        let mut value = chunk
            .iter()
            .fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
        for _ in 0..11 {
            out.push(char::from(BASE62[usize::try_from(value % 62).unwrap_or(0)]));
            value /= 62;
        }
    }
}

fn checksum(body: &str) -> String {
    let hash = digest::digest(&digest::SHA256, body.as_bytes());
    let mut out = String::new();
    base62(&hash.as_ref()[..8], &mut out);
    out.truncate(6);
    out
}

/// A new token of ours: `prefix_`, 256 random bits, six characters of checksum.
pub fn token(prefix: &str, rng: &dyn Rng) -> Secret<String> {
    let mut body = format!("{prefix}_");
    base62(&random::<32>(rng), &mut body);
    let sum = checksum(&body);
    body.push_str(&sum);
    Secret::new(body)
}

/// Whether `presented` has the shape of a token with this prefix, checksum and all.
pub fn well_formed(prefix: &str, presented: &str) -> bool {
    let Some(rest) = presented
        .strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('_'))
    else {
        return false;
    };
    if rest.len() != 50 || !rest.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return false;
    }
    let (body, sum) = presented.split_at(presented.len() - 6);
    checksum(body) == sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_their_time() {
        let rng = SeededRng::new(1);
        let old = id("per", 1_000, &rng);
        let new = id("per", 2_000, &rng);
        assert!(old < new);
        assert_eq!(old.len(), 30);
    }

    #[test]
    fn a_token_with_one_changed_letter_is_not_well_formed() {
        let rng = SeededRng::new(2);
        let token = token("att_rt", &rng);
        assert!(well_formed("att_rt", token.expose()));
        assert!(!well_formed("att_ac", token.expose()));
        for position in 7..token.expose().len() {
            let mut changed = token.expose().clone().into_bytes();
            changed[position] = if changed[position] == b'a' {
                b'b'
            } else {
                b'a'
            };
            assert!(!well_formed("att_rt", &String::from_utf8(changed).unwrap()));
        }
    }
}
