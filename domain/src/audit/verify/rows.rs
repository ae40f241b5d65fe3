//! Rows held against their leaves, one by one.

use std::collections::BTreeMap;

use evidence::leaf::{Commitment, Leaf};
use evidence::merkle::leaf_hash;

use super::super::Error;
use super::super::sql::{StoredEvent, StoredOpening, number};
use super::{Finding, PAGE, Report};
use crate::storage::Tx;

/// Commitments of a page that no kept value was found for yet, by event and field.
pub(super) type Commitments = BTreeMap<(String, String), Commitment>;

/// Holds the columns of an event against its leaf.
pub(super) fn check_row(event: &StoredEvent, report: &mut Report, commitments: &mut Commitments) {
    let id = &event.id;
    let leaf = match Leaf::parse(&event.leaf) {
        Ok(leaf) => leaf,
        Err(reason) => {
            let id = id.clone();
            return report.found(Finding::Leaf { id, reason });
        }
    };
    let columns = [
        ("id", leaf.id == *id),
        ("at", leaf.at == event.at),
        ("kind", leaf.kind == event.kind),
        ("person_id", leaf.person == event.person),
        ("client_id", leaf.client == event.client),
        ("account_id", leaf.account == event.account),
        ("approval_id", leaf.approval == event.approval),
        ("run_id", leaf.run == event.run),
        (
            "leaf_hash",
            leaf_hash(&event.leaf)[..] == event.leaf_hash[..],
        ),
    ];
    for (column, _) in columns.into_iter().filter(|(_, same)| !same) {
        let id = id.clone();
        report.found(Finding::Column { id, column });
    }
    let (first, last) = report.span.unwrap_or((leaf.at, leaf.at));
    report.span = Some((first.min(leaf.at), last.max(leaf.at)));
    for (field, commitment) in leaf.commitments {
        commitments.insert((id.clone(), field), commitment);
    }
}

fn check_opening(opening: &StoredOpening, report: &mut Report, commitments: &mut Commitments) {
    report.openings += 1;
    let (id, field) = (opening.event.clone(), opening.field.clone());
    let commitment = commitments.remove(&(id.clone(), field.clone()));
    let opens = |commitment: Commitment| {
        let salt = <[u8; 16]>::try_from(opening.salt.as_slice());
        salt.is_ok_and(|salt| commitment.opens(&field, &salt, &opening.value))
    };
    if !commitment.is_some_and(opens) {
        report.found(Finding::Opening { id, field });
    }
}

/// Holds the kept values of entries after index `after` up to `last` against
/// their commitments; what is left over was erased.
pub(super) async fn check_openings(
    reader: &mut Tx,
    report: &mut Report,
    mut commitments: Commitments,
    after: i64,
    last: i64,
) -> Result<(), Error> {
    let mut place = (after.saturating_add(1), String::new());
    loop {
        let page = reader
            .audit_openings_after((place.0, &place.1), last, PAGE)
            .await?;
        for opening in &page {
            check_opening(opening, report, &mut commitments);
        }
        match page.last() {
            Some(opening) => place = (opening.index.unwrap_or(last), opening.field.clone()),
            None => break,
        }
    }
    report.erased += commitments.len() as u64;
    Ok(())
}

/// Checks rows where there is no tree to hold them against.
pub(super) async fn entries_only(
    reader: &mut Tx,
    report: &mut Report,
    size: u64,
) -> Result<(), Error> {
    let mut last = i64::MIN;
    loop {
        let page = reader.audit_entries_after(last, PAGE).await?;
        let Some(end) = page.last().and_then(|event| event.index) else {
            return Ok(());
        };
        let mut commitments = Commitments::new();
        for event in &page {
            check_row(event, report, &mut commitments);
            report.entries += 1;
        }
        check_openings(reader, report, commitments, last, end).await?;
        last = end;
        if end >= number(size) {
            return Ok(());
        }
    }
}

/// Events without a number: their rows are checked, no tree covers them.
pub(super) async fn waiting(reader: &mut Tx, report: &mut Report) -> Result<(), Error> {
    let mut last = (i64::MIN, String::new());
    loop {
        let page = reader.audit_waiting_after((last.0, &last.1), PAGE).await?;
        for event in &page {
            report.unsequenced += 1;
            let mut commitments = Commitments::new();
            check_row(event, report, &mut commitments);
            for opening in reader.audit_openings_of(&event.id).await? {
                check_opening(&opening, report, &mut commitments);
            }
            report.erased += commitments.len() as u64;
        }
        match page.last() {
            Some(event) => last = (event.at, event.id.clone()),
            None => return Ok(()),
        }
    }
}
