//! What leaves the house and is checked there.

use evidence::checkpoint;
use evidence::merkle::{leaf_hash, verify_inclusion};
use evidence::note::VerifierKey;
use evidence::verify::{Finding, Report, split_notes, verify_export};

use super::super::{Filter, export, inclusion, list, verifier_key};
use super::{record, tamper, twelve};
use crate::testing::Bench;

async fn exported(bench: &Bench) -> Result<Report, Finding> {
    let (mut entries, mut checkpoints) = (Vec::new(), Vec::new());
    let done = export(bench, &mut entries, &mut checkpoints).await.unwrap();
    let key = VerifierKey::parse(&done.verifier_key).unwrap();
    let notes = split_notes(std::str::from_utf8(&checkpoints).unwrap());
    assert_eq!(notes.len(), done.checkpoints);
    let lines: Vec<_> = std::str::from_utf8(&entries).unwrap().lines().collect();
    assert_eq!(lines.len() as u64, done.entries);
    verify_export(lines, &notes, &[key], None)
}

#[tokio::test]
async fn an_export_is_cut_at_the_newest_checkpoint_and_verifies_alone() {
    let bench = twelve().await;
    record(&bench, "per_1", 12).await;
    let report = exported(&bench).await.unwrap();
    assert_eq!((report.entries, report.checkpoints), (12, 2));
}

#[tokio::test]
async fn an_export_of_an_empty_log_verifies() {
    let bench = Bench::new().await;
    assert_eq!(exported(&bench).await.unwrap().entries, 0);
}

#[tokio::test]
async fn an_export_of_a_damaged_log_does_not_verify() {
    let bench = twelve().await;
    tamper(
        &bench,
        "update events set leaf_index = 99 where leaf_index = 4",
        vec![],
    )
    .await;
    assert_eq!(exported(&bench).await, Err(Finding::Dropped { index: 4 }));
}

#[tokio::test]
async fn every_numbered_event_can_be_proved() {
    let bench = twelve().await;
    record(&bench, "per_1", 12).await;
    let key = VerifierKey::parse(&verifier_key(&bench).await.unwrap()).unwrap();
    let events = list(&bench, &Filter::default(), 200).await.unwrap();
    let mut proved = 0;
    for event in &events {
        let proof = inclusion(&bench, &event.id).await.unwrap();
        assert_eq!(proof.as_ref().map(|proof| proof.index), event.index);
        let Some(proof) = proof else { continue };
        let signed =
            checkpoint::verify_with(&proof.checkpoint, std::slice::from_ref(&key)).unwrap();
        let leaf = leaf_hash(&proof.leaf);
        assert!(verify_inclusion(
            &leaf,
            proof.index,
            proof.size,
            &proof.proof,
            &signed.root
        ));
        proved += 1;
    }
    assert_eq!((events.len(), proved), (13, 12));
    assert_eq!(inclusion(&bench, "evt_nobody").await.unwrap(), None);
}

#[tokio::test]
async fn a_changed_event_cannot_be_proved() {
    let bench = twelve().await;
    let id = list(&bench, &Filter::default(), 1).await.unwrap()[0]
        .id
        .clone();
    tamper(
        &bench,
        "update events set leaf = $1 where leaf_index = 11",
        vec![b"{}".to_vec().into()],
    )
    .await;
    assert!(inclusion(&bench, &id).await.is_err());
}
