//! Fuzz targets: what is taken has one meaning and one text.

use serde_json::Value;

use super::*;
use crate::checkpoint::Checkpoint;
use crate::fuzz::{INPUTS, has_taken, json, spell, taken};
use crate::leaf::Leaf;
use crate::note::SignedNote;

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

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fn strict(bytes: &[u8]) {
    let Ok(value) = parse_strict(bytes, Limits::BODY) else {
        assert!(
            parse_strict(bytes, Limits::INTEGERS).is_err(),
            "stricter takes more"
        );
        return;
    };
    taken("strict");
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
            strict(spell(input, &WORDS).as_bytes());
            let mut bytes = input.iter().copied();
            strict(json(&mut bytes, &WORDS[10..], 4, 0).as_bytes());
        });
    has_taken("strict", 100);
}

fn formats(bytes: &[u8]) {
    if let Ok(leaf) = Leaf::parse(bytes) {
        taken("leaf");
        let text = leaf.bytes();
        assert_eq!(text, bytes, "one leaf, one text");
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(checkpoint) = Checkpoint::parse(text) {
        taken("checkpoint");
        assert_eq!(checkpoint.body(), text, "one checkpoint, one text");
    }
    if let Ok(note) = SignedNote::parse(text) {
        taken("note");
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
    has_taken("leaf", 10);
    has_taken("checkpoint", 10);
    has_taken("note", 10);
}
