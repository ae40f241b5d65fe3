//! What somebody who can write into the database cannot hide.

use evidence::merkle::{Frontier, leaf_hash};

use super::super::log::Log;
use super::super::{Error, Finding, sequencer, tree, verify};
use super::{leaf_at, number_all, record, tamper, twelve};
use crate::storage::Json;
use crate::testing::Bench;

async fn findings(bench: &Bench) -> Vec<Finding> {
    verify(bench, None).await.unwrap().findings
}

#[tokio::test]
async fn an_untouched_log_is_sound() {
    let bench = twelve().await;
    let report = verify(&bench, None).await.unwrap();
    assert!(report.is_sound(), "{report}");
    assert_eq!(
        (report.entries, report.checkpoints, report.openings),
        (12, 2, 12)
    );
    assert_eq!(report.root, tree(&bench).await.unwrap().root);
    assert!(
        report
            .to_string()
            .starts_with("All 12 entries of attorn.test/audit/")
    );
}

#[tokio::test]
async fn a_changed_byte_is_found() {
    let bench = twelve().await;
    let mut leaf = leaf_at(&bench, 7).await;
    let place = leaf.windows(6).position(|some| some == b"per_1\"").unwrap();
    leaf[place + 4] = b'2';
    let sql = "update events set leaf = $1 where leaf_index = 7";
    tamper(&bench, sql, vec![(&leaf).into()]).await;
    let found = findings(&bench).await;
    let column = |finding: &Finding| match finding {
        Finding::Column { column, .. } => Some(*column),
        _ => None,
    };
    let columns: Vec<_> = found.iter().filter_map(column).collect();
    assert_eq!(columns, ["person_id", "leaf_hash"]);
    assert!(
        found.contains(&Finding::Altered { from: 5, last: 11 }),
        "{found:?}"
    );
    // Also where the rows were made to agree with the change.
    let sql = "update events set leaf_hash = $1, person_id = 'per_2' where leaf_index = 7";
    tamper(&bench, sql, vec![leaf_hash(&leaf).into()]).await;
    assert_eq!(
        findings(&bench).await,
        [Finding::Altered { from: 5, last: 11 }]
    );
}

#[tokio::test]
async fn an_edited_column_is_found() {
    for (sql, column) in [
        (
            "update events set person_id = 'per_2' where leaf_index = 3",
            "person_id",
        ),
        (
            "update events set client_id = null where leaf_index = 3",
            "client_id",
        ),
        (
            "update events set run_id = 'run_1' where leaf_index = 3",
            "run_id",
        ),
        (
            "update events set account_id = 'acc_1' where leaf_index = 3",
            "account_id",
        ),
        (
            "update events set approval_id = 'apr_1' where leaf_index = 3",
            "approval_id",
        ),
        (
            "update events set kind = 'call.made' where leaf_index = 3",
            "kind",
        ),
        ("update events set at = at + 1 where leaf_index = 3", "at"),
    ] {
        let bench = twelve().await;
        tamper(&bench, sql, vec![]).await;
        let found = findings(&bench).await;
        assert!(
            matches!(&found[..], [Finding::Column { column: named, .. }] if *named == column),
            "{sql}: {found:?}"
        );
    }
}

#[tokio::test]
async fn an_edited_column_of_an_event_without_a_number_is_found() {
    let bench = twelve().await;
    record(&bench, "per_1", 12).await;
    let sql = "update events set person_id = 'per_2' where leaf_index is null";
    tamper(&bench, sql, vec![]).await;
    let report = verify(&bench, None).await.unwrap();
    assert!(matches!(
        &report.findings[..],
        [Finding::Column {
            column: "person_id",
            ..
        }]
    ));
    assert_eq!(report.unsequenced, 1);
}

#[tokio::test]
async fn a_dropped_entry_is_found() {
    let bench = twelve().await;
    for sql in [
        "delete from event_openings where event_id = (select id from events where leaf_index = 3)",
        "delete from events where leaf_index = 3",
    ] {
        tamper(&bench, sql, vec![]).await;
    }
    assert_eq!(
        findings(&bench).await,
        [Finding::Missing { from: 3, last: 3 }]
    );
    // Numbered anew, the tree still tells, and so does the missing end.
    for sql in [
        "update events set leaf_index = leaf_index + 100 where leaf_index > 3",
        "update events set leaf_index = leaf_index - 101 where leaf_index > 3",
    ] {
        tamper(&bench, sql, vec![]).await;
    }
    let altered = Finding::Altered { from: 0, last: 4 };
    assert_eq!(
        findings(&bench).await,
        [altered, Finding::Missing { from: 11, last: 11 }]
    );
}

#[tokio::test]
async fn reordered_entries_are_found() {
    let bench = twelve().await;
    for sql in [
        "update events set leaf_index = 100 where leaf_index = 8",
        "update events set leaf_index = 8 where leaf_index = 9",
        "update events set leaf_index = 9 where leaf_index = 100",
    ] {
        tamper(&bench, sql, vec![]).await;
    }
    assert_eq!(
        findings(&bench).await,
        [Finding::Altered { from: 5, last: 11 }]
    );
}

#[tokio::test]
async fn entries_and_checkpoints_beyond_the_tree_are_found() {
    let bench = twelve().await;
    record(&bench, "per_1", 12).await;
    let sql = "update events set leaf_index = 12 where leaf_index is null";
    tamper(&bench, sql, vec![]).await;
    assert_eq!(findings(&bench).await, [Finding::Beyond { size: 12 }]);
    tamper(
        &bench,
        "update events set leaf_index = -7 where leaf_index = 12",
        vec![],
    )
    .await;
    assert!(matches!(
        &findings(&bench).await[..],
        [Finding::Column {
            column: "leaf_index",
            ..
        }]
    ));
}

#[tokio::test]
async fn a_changed_checkpoint_is_found() {
    let bench = twelve().await;
    let root = vec![[1_u8; 32].into()];
    tamper(
        &bench,
        "update audit_checkpoints set root = $1 where size = 5",
        root,
    )
    .await;
    assert_eq!(findings(&bench).await, [Finding::CheckpointRow { size: 5 }]);
    tamper(
        &bench,
        "update audit_checkpoints set note = 'x' where size = 5",
        vec![],
    )
    .await;
    assert!(matches!(
        &findings(&bench).await[..],
        [Finding::Checkpoint { size: 5, .. }]
    ));
    tamper(
        &bench,
        "delete from audit_checkpoints where size = 12",
        vec![],
    )
    .await;
    let found = findings(&bench).await;
    assert!(found.contains(&Finding::Unsigned { size: 12 }), "{found:?}");
}

#[tokio::test]
async fn a_changed_tree_is_found_and_never_signed_over() {
    for (frontier, finding) in [
        (
            serde_json::to_string(&(0..12).map(|n| [n; 32]).collect::<Frontier>()).unwrap(),
            Finding::Tree { size: 12 },
        ),
        ("{}".to_owned(), Finding::TreeRow),
    ] {
        let bench = twelve().await;
        tamper(
            &bench,
            "update audit_tree set frontier = $1",
            vec![frontier.into()],
        )
        .await;
        assert_eq!(findings(&bench).await, [finding]);
        record(&bench, "per_1", 12).await;
        assert!(sequencer::run_once(&bench).await.is_err());
        assert_eq!(tree(&bench).await.unwrap().size, 12);
    }
}

#[tokio::test]
async fn a_tree_without_its_checkpoint_does_not_grow() {
    let bench = twelve().await;
    tamper(&bench, "delete from audit_checkpoints", vec![]).await;
    record(&bench, "per_1", 12).await;
    let refused = sequencer::run_once(&bench).await.unwrap_err();
    assert!(matches!(refused, Error::Damaged(_)), "{refused}");
}

#[tokio::test]
async fn changed_personal_data_is_found() {
    let bench = twelve().await;
    let sql = "update event_openings set value = 'elsewhere' \
               where event_id = (select id from events where leaf_index = 3)";
    tamper(&bench, sql, vec![]).await;
    assert!(matches!(
        &findings(&bench).await[..],
        [Finding::Opening { field, .. }] if field == "address"
    ));
}

#[tokio::test]
async fn a_tail_cut_with_all_its_traces_is_found_by_an_outside_checkpoint_only() {
    let bench = twelve().await;
    let kept = tree(&bench).await.unwrap().checkpoint.unwrap();
    let mut five = Frontier::new();
    for index in 0..5 {
        five.append(leaf_hash(&leaf_at(&bench, index).await));
    }
    let five = Json(five);
    let tail = "delete from event_openings where event_id in (select id from events where leaf_index >= 5)";
    tamper(&bench, tail, vec![]).await;
    tamper(&bench, "delete from events where leaf_index >= 5", vec![]).await;
    tamper(
        &bench,
        "delete from audit_checkpoints where size > 5",
        vec![],
    )
    .await;
    let sql = "update audit_tree set size = 5, frontier = $1";
    tamper(&bench, sql, vec![five.into()]).await;
    assert_eq!(findings(&bench).await, []);
    let report = verify(&bench, Some(&kept)).await.unwrap();
    let cut = Finding::CutTail {
        entries: 5,
        signed: 12,
    };
    assert_eq!(report.findings, [cut]);
}

#[tokio::test]
async fn a_second_history_is_found_by_an_outside_checkpoint() {
    let bench = twelve().await;
    let newest = bench
        .store
        .reader()
        .await
        .unwrap()
        .audit_newest()
        .await
        .unwrap();
    let log = Log::open(&bench, newest.as_ref()).unwrap();
    let other = log.sign(7, [9; 32]).unwrap();
    let report = verify(&bench, Some(&other)).await.unwrap();
    assert_eq!(report.findings, [Finding::SecondHistory { size: 7 }]);
    let report = verify(&bench, Some("hello")).await.unwrap();
    assert!(matches!(
        &report.findings[..],
        [Finding::OutsideCheckpoint(_)]
    ));
    let own = tree(&bench).await.unwrap().checkpoint.unwrap();
    record(&bench, "per_1", 12).await;
    number_all(&bench).await;
    let report = verify(&bench, Some(&own)).await.unwrap();
    assert!(report.is_sound(), "{report}");
    assert_eq!(report.outside, Some(12));
}
