//! What the fuzz targets share. A target takes any bytes, replays the corpus
//! that lies beside it in `__fuzz__`, and holds what it judges against another
//! reader: it finds more than panics.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// How many inputs of its own a target makes in an ordinary test run.
pub(crate) const INPUTS: usize = 3_000;

static TAKEN: Mutex<BTreeMap<&str, usize>> = Mutex::new(BTreeMap::new());

/// Bytes as words of a small language: arbitrary ones seldom get past the first
/// check of a parser.
pub(crate) fn spell(input: &[u8], words: &[&str]) -> String {
    input
        .iter()
        .take(200)
        .map(|byte| words[usize::from(*byte) % words.len()])
        .collect()
}

/// Notes that an input was taken by what is tried.
pub(crate) fn taken(what: &'static str) {
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    *taken.entry(what).or_default() += 1;
}

/// A target whose inputs are all refused proves nothing: the corpus has good
/// ones as well, so these were taken at the least.
pub(crate) fn has_taken(what: &str, at_least: usize) {
    let taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    let count = taken.get(what).copied().unwrap_or_default();
    println!("{what}: {count} inputs were taken");
    assert!(count >= at_least, "{what}: {count} inputs were taken");
}
