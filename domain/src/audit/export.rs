//! Proofs that leave the house: an export for the stand-alone verifier, and the
//! proof that one event is in the log.

use std::io::Write;

use evidence::decision::in_log::{Attested, InLog, NotAttested};
use evidence::digest::Hash;
use evidence::leaf::Leaf;
use evidence::merkle::{Frontier, leaf_hash, verify_inclusion};
use evidence::verify::export_line;

use super::Error;
use super::log::Log;
use crate::Engine;
use crate::storage::Tx;

/// How many rows are read at once.
const PAGE: i64 = 500;
/// How many checkpoints an export carries beside the newest. They tell between
/// which two of them a changed entry lies.
const CHECKPOINTS: i64 = 1000;

/// What was exported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// How many entries: those under the newest checkpoint.
    pub entries: u64,
    /// How many checkpoints.
    pub checkpoints: usize,
    /// The key to check it with. Whoever checks should have it from elsewhere.
    pub verifier_key: String,
}

/// Writes the log, cut at its newest checkpoint, as `attorn-verify` reads it:
/// JSON lines to `entries`, signed notes with an empty line between to
/// `checkpoints`, largest first. Writes as it reads, and does not judge what it
/// reads; that is the verifier's part. Personal data is not in it.
///
/// # Errors
/// [`Error::Damaged`] when the newest checkpoint is not one of our key.
pub async fn export(
    engine: &Engine,
    entries: &mut (dyn Write + Send),
    checkpoints: &mut (dyn Write + Send),
) -> Result<Exported, Error> {
    let mut reader = engine.store.reader().await?;
    let signed = reader.audit_newest_checkpoints(CHECKPOINTS).await?;
    let log = Log::open(engine, signed.first())?;
    let size = match signed.first() {
        // An empty log has signed nothing yet; its export says so, signed now.
        None => {
            checkpoints.write_all(log.sign(0, Frontier::new().root())?.as_bytes())?;
            0
        }
        Some(newest) => {
            log.read(&newest.note)
                .map_err(|_| Error::Damaged("the checkpoint is not signed by our key"))?
                .size
        }
    };
    for (place, checkpoint) in signed.iter().enumerate() {
        if place > 0 {
            checkpoints.write_all(b"\n")?;
        }
        checkpoints.write_all(checkpoint.note.as_bytes())?;
    }
    let mut last = -1;
    let mut count = 0;
    'pages: loop {
        let page = reader.audit_entries_after(last, PAGE).await?;
        for event in &page {
            let index = event.index.unwrap_or(last);
            let place = u64::try_from(index).unwrap_or(0);
            if place >= size {
                break 'pages;
            }
            writeln!(entries, "{}", export_line(place, &event.leaf))?;
            last = index;
            count += 1;
        }
        if page.is_empty() {
            break;
        }
    }
    entries.flush()?;
    checkpoints.flush()?;
    Ok(Exported {
        entries: count,
        checkpoints: signed.len().max(1),
        verifier_key: log.verifier().to_string(),
    })
}

/// What the log, up to its newest entry, says of the decision that this evidence
/// proves. It does not judge the log itself: [`super::verify`] does.
///
/// # Errors
/// The database's. That the evidence proves nothing is no `Err` outside.
pub async fn attest(
    engine: &Engine,
    evidence: &str,
) -> Result<Result<Attested, NotAttested>, Error> {
    let mut decision = match InLog::new(evidence) {
        Ok(decision) => decision,
        Err(refused) => return Ok(Err(refused)),
    };
    let mut reader = engine.store.reader().await?;
    let mut last = -1;
    loop {
        let page = reader.audit_entries_after(last, PAGE).await?;
        if page.is_empty() {
            return Ok(decision.end());
        }
        for event in &page {
            last = event.index.unwrap_or(last);
            if let Ok(leaf) = Leaf::parse(&event.leaf) {
                decision.read(&leaf);
            }
        }
    }
}

/// The proof that an event is in the log (RFC 9162 §2.1.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inclusion {
    /// The event's place.
    pub index: u64,
    /// The size of the tree that the proof is for: the checkpoint's.
    pub size: u64,
    /// The bytes of the leaf.
    pub leaf: Vec<u8>,
    /// Sibling hashes, from the leaf upwards.
    pub proof: Vec<Hash>,
    /// The checkpoint whose root the proof leads to, as a signed note.
    pub checkpoint: String,
}

/// Proves that an event is under the newest checkpoint; `None` while it is not
/// numbered, or when there is no such event. Reads the hashes of the whole log.
///
/// # Errors
/// [`Error::Damaged`] when the rows no longer add up to the checkpoint.
pub async fn inclusion(engine: &Engine, event_id: &str) -> Result<Option<Inclusion>, Error> {
    let mut reader = engine.store.reader().await?;
    let Some(event) = reader.audit_event(event_id).await? else {
        return Ok(None);
    };
    let (Some(index), Some(newest)) = (event.index, reader.audit_newest().await?) else {
        return Ok(None);
    };
    let checkpoint = Log::open(engine, Some(&newest))?
        .read(&newest.note)
        .map_err(|_| Error::Damaged("the checkpoint is not signed by our key"))?;
    let size = checkpoint.size;
    let place = u64::try_from(index).ok().filter(|place| *place < size);
    let index = place.ok_or(Error::Damaged("it does not cover the event's index"))?;
    let mut proof = Vec::new();
    for (first, end) in siblings(index, size) {
        proof.push(root_of(&mut reader, first, end).await?);
    }
    if !verify_inclusion(
        &leaf_hash(&event.leaf),
        index,
        size,
        &proof,
        &checkpoint.root,
    ) {
        return Err(Error::Damaged("the entries do not add up to it"));
    }
    Ok(Some(Inclusion {
        index,
        size,
        leaf: event.leaf,
        proof,
        checkpoint: newest.note,
    }))
}

/// The ranges of leaves under the siblings on the way from leaf `index` to the
/// root, from the leaf upwards.
fn siblings(index: u64, size: u64) -> Vec<(u64, u64)> {
    let (mut first, mut end) = (0, size);
    let mut ranges = Vec::new();
    while end - first > 1 {
        let middle = first + (end - first).next_power_of_two() / 2;
        if index < middle {
            ranges.push((middle, end));
            end = middle;
        } else {
            ranges.push((first, middle));
            first = middle;
        }
    }
    ranges.reverse();
    ranges
}

async fn root_of(reader: &mut Tx, first: u64, end: u64) -> Result<Hash, Error> {
    let mut subtree = Frontier::new();
    while first + subtree.size() < end {
        let from = first + subtree.size();
        let hashes = reader.audit_leaf_hashes(from, end, PAGE).await?;
        if hashes.is_empty() {
            return Err(Error::Damaged("entries are missing"));
        }
        subtree.extend(hashes);
    }
    Ok(subtree.root())
}

#[cfg(test)]
mod tests {
    use super::*;
    use evidence::merkle::{inclusion_proof, root};

    #[test]
    fn the_siblings_are_those_of_the_inclusion_proof() {
        let hashes: Vec<Hash> = (0..40_u8).map(|n| [n; 32]).collect();
        for size in 1..=hashes.len() {
            for index in 0..size as u64 {
                let proof: Vec<Hash> = siblings(index, size as u64)
                    .into_iter()
                    .map(|(first, end)| root(&hashes[first as usize..end as usize]))
                    .collect();
                assert_eq!(Some(proof), inclusion_proof(&hashes[..size], index));
            }
        }
    }
}
