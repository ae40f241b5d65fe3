use super::*;
use crate::merkle::root;
use proptest::prelude::*;

const ORIGIN: &str = "attorn.example/log";

fn leaves(count: u64, history: &str) -> Vec<Vec<u8>> {
    (0..count)
        .map(|n| {
            Leaf::new(
                format!("evt_{n}"),
                1000 + n as i64,
                "token.released",
                "dep_1",
            )
            .data("history", history)
        })
        .map(|leaf| leaf.bytes())
        .collect()
}

fn checkpoint(leaves: &[Vec<u8>], size: usize) -> Checkpoint {
    let hashes: Vec<Hash> = leaves[..size].iter().map(|leaf| leaf_hash(leaf)).collect();
    Checkpoint {
        origin: ORIGIN.into(),
        size: size as u64,
        root: root(&hashes),
    }
}

fn export(leaves: &[Vec<u8>]) -> Vec<String> {
    (0..)
        .zip(leaves)
        .map(|(index, leaf)| export_line(index, leaf))
        .collect()
}

/// Twelve entries with checkpoints after the fifth and the last.
fn twelve() -> (Vec<Vec<u8>>, Vec<Checkpoint>) {
    let leaves = leaves(12, "true");
    let checkpoints = vec![checkpoint(&leaves, 12), checkpoint(&leaves, 5)];
    (leaves, checkpoints)
}

#[test]
fn an_untouched_export_is_reported_as_it_is() {
    let (leaves, checkpoints) = twelve();
    let outside = checkpoint(&leaves, 7);
    let report = verify_tree(export(&leaves), &checkpoints, Some(&outside)).unwrap();
    assert_eq!(report.origin, ORIGIN);
    assert_eq!(report.entries, 12);
    assert_eq!(report.root, checkpoints[0].root);
    assert_eq!(report.checkpoints, 2);
    assert_eq!(report.outside, Some(7));
    assert_eq!(report.span, Some((1000, 1011)));
    assert!(
        report
            .to_string()
            .starts_with("All 12 entries of attorn.example/log")
    );
}

#[test]
fn an_empty_log_is_a_log() {
    let report = verify_tree(export(&[]), &[checkpoint(&[], 0)], None).unwrap();
    assert_eq!((report.entries, report.span), (0, None));
}

#[test]
fn a_changed_byte_is_found_between_its_checkpoints() {
    let (leaves, checkpoints) = twelve();
    for index in 0..12 {
        let mut changed = leaves.clone();
        changed[index] = String::from_utf8(changed[index].clone())
            .unwrap()
            .replace("true", "tree")
            .into_bytes();
        let (from, last) = if index < 5 { (0, 4) } else { (5, 11) };
        assert_eq!(
            verify_tree(export(&changed), &checkpoints, None),
            Err(Finding::Altered { from, last })
        );
    }
}

#[test]
fn a_changed_byte_that_breaks_the_leaf_is_found_at_its_entry() {
    let (mut leaves, checkpoints) = twelve();
    leaves[3].push(b' ');
    let reason = LeafError::NotCanonical;
    assert_eq!(
        verify_tree(export(&leaves), &checkpoints, None),
        Err(Finding::Leaf { index: 3, reason })
    );
}

#[test]
fn a_damaged_line_is_found() {
    let (leaves, checkpoints) = twelve();
    for line in [
        "",
        "{}",
        r#"{"index":3}"#,
        r#"{"index":"3","leaf":""}"#,
        r#"{"index":3,"leaf":"="}"#,
    ] {
        let mut lines = export(&leaves);
        lines[3] = line.into();
        assert_eq!(
            verify_tree(lines, &checkpoints, None),
            Err(Finding::Line { line: 4 }),
            "{line}"
        );
    }
    let mut lines = export(&leaves);
    lines[3] = lines[3].replace('}', r#","more":1}"#);
    assert_eq!(
        verify_tree(lines, &checkpoints, None),
        Err(Finding::Line { line: 4 })
    );
}

#[test]
fn a_dropped_entry_is_found() {
    let (mut leaves, checkpoints) = twelve();
    let mut lines = export(&leaves);
    lines.remove(6);
    assert_eq!(
        verify_tree(lines, &checkpoints, None),
        Err(Finding::Dropped { index: 6 })
    );
    // With the rest numbered anew the tree still tells.
    leaves.remove(2);
    assert_eq!(
        verify_tree(export(&leaves), &checkpoints, None),
        Err(Finding::Altered { from: 0, last: 4 })
    );
}

#[test]
fn an_added_entry_is_found() {
    let (mut leaves, checkpoints) = twelve();
    let forged = Leaf::new("evt_x", 1, "token.released", "dep_1").bytes();
    let mut lines = export(&leaves);
    lines.insert(6, export_line(5, &forged));
    assert_eq!(
        verify_tree(lines, &checkpoints, None),
        Err(Finding::Added { index: 5 })
    );
    leaves.insert(6, forged.clone());
    assert_eq!(
        verify_tree(export(&leaves), &checkpoints, None),
        Err(Finding::Altered { from: 5, last: 11 })
    );
    let (mut leaves, _) = twelve();
    leaves.push(forged);
    assert_eq!(
        verify_tree(export(&leaves), &checkpoints, None),
        Err(Finding::AddedAtEnd { signed: 12 })
    );
}

#[test]
fn reordered_entries_are_found() {
    let (mut leaves, checkpoints) = twelve();
    let mut lines = export(&leaves);
    lines.swap(7, 9);
    assert_eq!(
        verify_tree(lines, &checkpoints, None),
        Err(Finding::Reordered { index: 7 })
    );
    leaves.swap(7, 9);
    assert_eq!(
        verify_tree(export(&leaves), &checkpoints, None),
        Err(Finding::Altered { from: 5, last: 11 })
    );
}

#[test]
fn a_cut_tail_is_found_even_together_with_its_checkpoint() {
    let (leaves, checkpoints) = twelve();
    let cut = export(&leaves[..9]);
    let finding = Finding::CutTail {
        entries: 9,
        signed: 12,
    };
    assert_eq!(verify_tree(&cut, &checkpoints, None), Err(finding.clone()));
    // Whoever cuts checkpoints as well is found by one that was kept outside.
    let older = [checkpoint(&leaves, 9)];
    assert!(verify_tree(&cut, &older, None).is_ok());
    assert_eq!(
        verify_tree(&cut, &older, Some(&checkpoints[0])),
        Err(finding)
    );
}

#[test]
fn a_second_history_is_found_by_an_outside_checkpoint() {
    let (told_outside, _) = twelve();
    let rewritten = leaves(14, "false");
    let own = [checkpoint(&rewritten, 14)];
    assert!(verify_tree(export(&rewritten), &own, None).is_ok());
    for size in [1, 5, 12] {
        let outside = checkpoint(&told_outside, size);
        let finding = Finding::SecondHistory { size: size as u64 };
        assert_eq!(
            verify_tree(export(&rewritten), &own, Some(&outside)),
            Err(finding)
        );
    }
}

#[test]
fn checkpoints_that_contradict_each_other_are_found() {
    let (true_leaves, _) = twelve();
    let both = [
        checkpoint(&true_leaves, 12),
        checkpoint(&leaves(12, "false"), 12),
    ];
    let finding = Finding::SecondHistory { size: 12 };
    assert_eq!(verify_tree(export(&true_leaves), &both, None), Err(finding));
    let foreign = Checkpoint {
        origin: "other".into(),
        ..both[0].clone()
    };
    let found = verify_tree(export(&true_leaves), &both[..1], Some(&foreign));
    assert!(matches!(found, Err(Finding::TwoLogs { .. })));
    assert_eq!(
        verify_tree(export(&true_leaves), &[], None),
        Err(Finding::NoCheckpoint)
    );
}

proptest! {
    #[test]
    fn a_flipped_bit_anywhere_in_the_leaves_never_verifies(
        count in 1u64..40, which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), bit in 0u8..8,
    ) {
        let mut leaves = leaves(count, "true");
        let checkpoints = [checkpoint(&leaves, leaves.len())];
        let leaf = which.get(&leaves).len();
        let index = which.index(leaves.len());
        leaves[index][at.index(leaf)] ^= 1 << bit;
        prop_assert!(verify_tree(export(&leaves), &checkpoints, None).is_err());
    }

    #[test]
    fn a_flipped_bit_in_the_exported_text_never_verifies_as_something_else(
        at in any::<prop::sample::Index>(), which in any::<prop::sample::Index>(), bit in 0u8..8,
    ) {
        let (leaves, checkpoints) = twelve();
        let mut lines: Vec<Vec<u8>> = export(&leaves).into_iter().map(String::into_bytes).collect();
        let line = which.index(lines.len());
        let at = at.index(lines[line].len());
        lines[line][at] ^= 1 << bit;
        prop_assert!(verify_tree(lines, &checkpoints, None).is_err());
    }

    #[test]
    fn any_other_selection_of_the_lines_is_refused(picks in proptest::collection::vec(0usize..12, 0..14)) {
        let (leaves, checkpoints) = twelve();
        let all = export(&leaves);
        let lines: Vec<&String> = picks.iter().map(|pick| &all[*pick]).collect();
        let untouched = picks.iter().copied().eq(0..12);
        prop_assert_eq!(verify_tree(lines, &checkpoints, None).is_ok(), untouched);
    }
}

#[cfg(feature = "signatures")]
mod signed {
    use super::*;
    use crate::checkpoint::sign;
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};

    fn key(seed: u8) -> (Ed25519KeyPair, VerifierKey) {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        let public = pair.public_key().as_ref().try_into().unwrap();
        let verifier = VerifierKey::new(ORIGIN, public).unwrap();
        (pair, verifier)
    }

    #[test]
    fn only_checkpoints_of_the_trusted_key_count() {
        let (leaves, _) = twelve();
        let ((ours, our_key), (theirs, their_key)) = (key(1), key(2));
        let note = |pair| sign(&checkpoint(&leaves, 12), ORIGIN, pair).unwrap();
        let (good, foreign) = (note(&ours), note(&theirs));
        let trusted = [our_key.clone()];
        let verify = |own: &str, outside| verify_export(export(&leaves), &[own], &trusted, outside);
        assert!(verify(&good, None).is_ok());
        assert!(verify(&good, Some(&good)).is_ok());
        let reason = NoteError::NotSigned;
        assert_eq!(
            verify(&foreign, None),
            Err(Finding::Checkpoint {
                number: 1,
                reason: reason.clone()
            })
        );
        assert_eq!(
            verify(&good, Some(&foreign)),
            Err(Finding::OutsideCheckpoint(reason))
        );
        // After a rotation both keys are trusted.
        let both = [our_key, their_key];
        assert!(verify_export(export(&leaves), &[&good, &foreign], &both, None).is_ok());
    }
}

#[test]
fn notes_in_one_file_are_told_apart() {
    let (one, two) = (
        "log\n1\nroot\n\n— log AAAA\n— witness BBBB\n",
        "log\n2\nroot\n\n— log CCCC\n",
    );
    assert_eq!(split_notes(&format!("{one}\n{two}")), [one, two]);
    assert_eq!(split_notes(&format!("\n{one}\n\n{two}\n")), [one, two]);
    assert_eq!(split_notes(one), [one]);
    assert_eq!(split_notes("half"), ["half"]);
    assert!(split_notes("").is_empty());
}
