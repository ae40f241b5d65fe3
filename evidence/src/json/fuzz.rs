//! Fuzz targets: what is taken has one meaning and one text.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use super::*;
use crate::checkpoint::Checkpoint;
use crate::leaf::Leaf;
use crate::note::SignedNote;

const INPUTS: usize = 3_000;

const WORDS: [&str; 32] = [
    "{",
    "{",
    "}",
    "}",
    "[",
    "]",
    ":",
    ":",
    ",",
    ",",
    "\"a\"",
    "\"b\"",
    "\"\\u0061\"",
    "\"\\ud800\"",
    "\"\\ud83d\\ude00\"",
    "\"ü\"",
    "\u{feff}",
    "null",
    "true",
    "0",
    "-0",
    "-0.0",
    "1e3",
    "1.5",
    "9007199254740991",
    "9007199254740993",
    "1e400",
    "01",
    " ",
    "\n",
    "\"\"",
    "\u{1}",
];

/// Bytes as a JSON text that is well formed but may say things twice: objects
/// and arrays of these words, of which those in quotes are names as well.
fn well_formed(
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
        let value = well_formed(bytes, words, levels - 1, inside);
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

fn spell(input: &[u8]) -> String {
    input
        .iter()
        .take(200)
        .map(|byte| WORDS[usize::from(*byte) % WORDS.len()])
        .collect()
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// Inputs that were taken: a target whose inputs are all refused proves nothing.
static STRICT: AtomicUsize = AtomicUsize::new(0);
static LEAVES: AtomicUsize = AtomicUsize::new(0);
static CHECKPOINTS: AtomicUsize = AtomicUsize::new(0);
static NOTES: AtomicUsize = AtomicUsize::new(0);

fn has_taken(what: &AtomicUsize, at_least: usize) {
    let count = what.load(Ordering::Relaxed);
    println!("{count} inputs were taken");
    assert!(count >= at_least, "{count} inputs were taken");
}

fn strict(bytes: &[u8]) {
    let Ok(value) = parse_strict(bytes, Limits::BODY) else {
        assert!(
            parse_strict(bytes, Limits::INTEGERS).is_err(),
            "stricter takes more"
        );
        return;
    };
    STRICT.fetch_add(1, Ordering::Relaxed);
    assert!(depth(&value) <= Limits::BODY.depth && bytes.len() <= Limits::BODY.bytes);
    // The common reader, which mends and drops, had nothing to mend.
    assert_eq!(serde_json::from_slice::<Value>(bytes).unwrap(), value);
    let text = canonical(&value);
    assert!(is_canonical(&text), "the canonical text is not canonical");
    assert_eq!(is_canonical(bytes), text == bytes);
    if parse_strict(bytes, Limits::INTEGERS).is_ok() {
        // Exact numbers: nothing at all is lost.
        let again = parse_strict(&text, Limits::INTEGERS).unwrap();
        assert_eq!(again, value);
        assert_eq!(canonical(&again), text);
    }
    assert_eq!(
        parse_strict_object(bytes, Limits::BODY).is_ok(),
        value.is_object()
    );
}

#[test]
fn strict_json() {
    bolero::check!(name = "strict")
        .with_iterations(INPUTS)
        .for_each(|input: &[u8]| {
            strict(input);
            strict(spell(input).as_bytes());
            let mut bytes = input.iter().copied();
            strict(well_formed(&mut bytes, &WORDS[10..], 4, 0).as_bytes());
        });
    has_taken(&STRICT, 100);
}

fn formats(bytes: &[u8]) {
    if let Ok(leaf) = Leaf::parse(bytes) {
        LEAVES.fetch_add(1, Ordering::Relaxed);
        let text = leaf.bytes();
        assert_eq!(text, bytes, "one leaf, one text");
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(checkpoint) = Checkpoint::parse(text) {
        CHECKPOINTS.fetch_add(1, Ordering::Relaxed);
        assert_eq!(checkpoint.body(), text, "one checkpoint, one text");
    }
    if let Ok(note) = SignedNote::parse(text) {
        NOTES.fetch_add(1, Ordering::Relaxed);
        assert!(text.starts_with(&note.text) && note.text.ends_with('\n'));
        assert!(!note.signatures.is_empty());
        // Nobody is trusted: nothing verifies.
        #[cfg(feature = "signatures")]
        assert!(crate::note::verify_text(text, &[]).is_err());
    }
}

/// A good text with up to three bytes changed.
fn change(good: &str, input: &[u8]) -> Vec<u8> {
    let mut bytes = good.as_bytes().to_vec();
    for change in input.chunks_exact(3).take(3) {
        let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % bytes.len();
        bytes[at] = change[2];
    }
    bytes
}

const GOOD: [&str; 3] = [
    r#"{"at":1,"commitments":{},"data":{"a":1},"deployment":"d","id":"e","kind":"k","v":1}"#,
    "a\n3\nAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n",
    "a\nb\n\n\u{2014} a AAAAAAAAAAA=\n",
];

#[test]
fn leaves_checkpoints_and_notes() {
    bolero::check!(name = "formats")
        .with_iterations(INPUTS)
        .for_each(|input: &[u8]| {
            formats(input);
            for good in GOOD {
                formats(&change(good, input));
            }
        });
    has_taken(&LEAVES, 10);
    has_taken(&CHECKPOINTS, 10);
    has_taken(&NOTES, 10);
}
