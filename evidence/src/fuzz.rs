//! What the fuzz targets of this crate and of the server share. A target takes any bytes, replays the corpus
//! that lies beside it in `__fuzz__`, and holds what it judges against another
//! reader: it finds more than panics.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// How many inputs of its own a target makes in an ordinary test run.
pub const INPUTS: usize = 3_000;

static TAKEN: Mutex<BTreeMap<&str, usize>> = Mutex::new(BTreeMap::new());

/// Bytes as words of a small language: arbitrary ones seldom get past the first
/// check of a parser.
#[must_use]
pub fn spell(input: &[u8], words: &[&str]) -> String {
    input
        .iter()
        .take(200)
        .map(|byte| words[usize::from(*byte) % words.len()])
        .collect()
}

/// Bytes as a JSON text that is well formed but may say things twice: objects
/// and arrays of these words, of which those in quotes are names as well.
pub fn json(
    bytes: &mut dyn Iterator<Item = u8>,
    words: &[&str],
    levels: usize,
    kind: u8,
) -> String {
    let names: Vec<&str> = words
        .iter()
        .copied()
        .filter(|word| word.starts_with('"'))
        .collect();
    let mut next = || usize::from(bytes.next().unwrap_or_default());
    let pick = |words: &[&str], at: usize| words[at % words.len()].to_owned();
    if levels == 0 || kind > 5 {
        return pick(words, next());
    }
    let count = next() % 5;
    let mut parts = Vec::new();
    for _ in 0..count {
        let name = pick(&names, usize::from(bytes.next().unwrap_or_default()));
        let inside = bytes.next().unwrap_or_default() % 16;
        let value = json(bytes, words, levels - 1, inside);
        parts.push(if kind < 4 {
            format!("{name}:{value}")
        } else {
            value
        });
    }
    let all = parts.join(",");
    if kind < 4 {
        format!("{{{all}}}")
    } else {
        format!("[{all}]")
    }
}

/// Notes that an input was taken by what is tried.
pub fn taken(what: &'static str) {
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    *taken.entry(what).or_default() += 1;
}

/// A target whose inputs are all refused proves nothing: the corpus has good
/// ones as well, so these were taken at the least.
///
/// # Panics
/// If they were not.
pub fn has_taken(what: &str, at_least: usize) {
    let taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    let count = taken.get(what).copied().unwrap_or_default();
    println!("{what}: {count} inputs were taken");
    assert!(count >= at_least, "{what}: {count} inputs were taken");
}
