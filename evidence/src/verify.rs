//! Checks an export of the audit log, offline, against checkpoints.
//!
//! An export is JSON lines, `{"index":n,"leaf":"base64url of the leaf's bytes"}`, from index 0 on and in order, and
//! one or more signed checkpoints of which the newest covers exactly the whole export. Memory stays flat however long
//! it is. What the exporter controls alone proves nothing against the exporter; a checkpoint from *outside* (kept by an
//! agent, a mail, a witness) does, and shows a second history even if that one is flawless in itself.

use crate::checkpoint::Checkpoint;
use crate::digest::{Hash, base64url, from_base64url};
use crate::json::{Limits, MAX_SAFE_INTEGER, parse_strict_object};
use crate::leaf::{Leaf, LeafError};
use crate::merkle::{Frontier, leaf_hash};
use crate::note::NoteError;
use std::fmt;

#[cfg(feature = "signatures")]
use crate::{checkpoint::verify_with, note::VerifierKey};

/// What holds for an export in which nothing is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The log's name.
    pub origin: String,
    /// How many entries there are, all of them covered by the newest checkpoint.
    pub entries: u64,
    /// The root over all of them.
    pub root: Hash,
    /// How many checkpoints of the export were checked.
    pub checkpoints: usize,
    /// How many entries the outside checkpoint covers, if there was one.
    pub outside: Option<u64>,
    /// When the earliest and the latest entry happened, in Unix milliseconds.
    pub span: Option<(i64, i64)>,
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(
            formatter,
            "All {} entries of {} are as they were signed",
            self.entries, self.origin
        )?;
        match self.outside {
            Some(size) => write!(
                formatter,
                ", and the first {size} as the outside checkpoint has them."
            ),
            None => write!(
                formatter,
                ". Without an outside checkpoint this cannot show a second history."
            ),
        }
    }
}

/// What is wrong with an export: the first thing found. Indexes and lines count from 0 and from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Finding {
    /// Nothing to check against.
    #[error("The export comes without a checkpoint, so nothing in it can be proved.")]
    NoCheckpoint,
    /// A checkpoint of the export is not one.
    #[error("Checkpoint {number} of the export is not to be believed: {reason}.")]
    Checkpoint {
        /// Which one, from 1.
        number: usize,
        /// Why.
        reason: NoteError,
    },
    /// The outside checkpoint is not one of this log's key.
    #[error("The outside checkpoint is not to be believed: {0}.")]
    OutsideCheckpoint(NoteError),
    /// Checkpoints of different logs.
    #[error("The checkpoints are of two logs, {one} and {other}.")]
    TwoLogs {
        /// One origin.
        one: String,
        /// The other.
        other: String,
    },
    /// A line that is no entry at all.
    #[error("Line {line} of the export is damaged: it is not an index and a leaf.")]
    Line {
        /// Which line, from 1.
        line: u64,
    },
    /// An entry whose bytes are no audit leaf.
    #[error("Entry {index} was changed: {reason}.")]
    Leaf {
        /// The entry.
        index: u64,
        /// What is wrong with its bytes.
        reason: LeafError,
    },
    /// An index that no line has.
    #[error("Entry {index} was dropped: no line of the export has it.")]
    Dropped {
        /// The missing index.
        index: u64,
    },
    /// An index that two lines have.
    #[error("An entry was added: index {index} is there twice.")]
    Added {
        /// The doubled index.
        index: u64,
    },
    /// An entry that comes too late.
    #[error("The entries were reordered: entry {index} is not in its place.")]
    Reordered {
        /// The index that should have come.
        index: u64,
    },
    /// The indexes are right and the tree is not.
    #[error(
        "Entries {from} to {last} do not add up to what was signed: at least one was changed, or some were dropped, \
         added or reordered and the rest numbered anew."
    )]
    Altered {
        /// First entry that no good checkpoint covers.
        from: u64,
        /// Last entry under the checkpoint that does not fit.
        last: u64,
    },
    /// Entries after the newest checkpoint.
    #[error(
        "Entries were added at the end: {signed} are signed, entry {signed} and what follows are not."
    )]
    AddedAtEnd {
        /// How many entries the newest checkpoint covers.
        signed: u64,
    },
    /// A checkpoint covers more than there is.
    #[error("The tail was cut: {signed} entries were signed, the export ends after {entries}.")]
    CutTail {
        /// How many entries the export has.
        entries: u64,
        /// How many there must have been.
        signed: u64,
    },
    /// The export fits its own checkpoints and not another one of the same key.
    #[error(
        "There is a second history: two signed checkpoints over the first {size} entries contradict each other."
    )]
    SecondHistory {
        /// The size at which the histories differ at the latest.
        size: u64,
    },
}

/// One line of an export, without the newline.
#[must_use]
pub fn export_line(index: u64, leaf: &[u8]) -> String {
    format!(r#"{{"index":{index},"leaf":"{}"}}"#, base64url(leaf))
}

/// The signed notes in a file of several: one after the other, with an empty line between. Says nothing about them
/// yet; what is no note is left for [`verify_export`] to refuse.
#[must_use]
pub fn split_notes(text: &str) -> Vec<String> {
    let mut notes = Vec::new();
    let mut note = String::new();
    for line in text.split_inclusive('\n') {
        // A note has an empty line of its own; the one after its signatures ends it.
        if line == "\n"
            && note
                .lines()
                .last()
                .is_none_or(|last| last.starts_with("— "))
        {
            notes.extend((!note.is_empty()).then(|| std::mem::take(&mut note)));
        } else {
            note.push_str(line);
        }
    }
    notes.extend((!note.is_empty()).then_some(note));
    notes
}

/// Checks an export against signed checkpoints. `trusted` are the log's keys, from a source other than the export
/// (several after a rotation); `outside` is a signed checkpoint that was kept elsewhere.
///
/// A report means: every entry is byte for byte what the key signed, none is missing up to the newest checkpoint, and
/// no history contradicts the outside checkpoint. An export older than the outside checkpoint counts as cut.
#[cfg(feature = "signatures")]
pub fn verify_export<L: AsRef<[u8]>, C: AsRef<str>>(
    lines: impl IntoIterator<Item = L>,
    checkpoints: &[C],
    trusted: &[VerifierKey],
    outside: Option<&str>,
) -> Result<Report, Finding> {
    let checkpoints = (1..)
        .zip(checkpoints)
        .map(|(number, note)| {
            verify_with(note.as_ref(), trusted)
                .map_err(|reason| Finding::Checkpoint { number, reason })
        })
        .collect::<Result<Vec<_>, _>>()?;
    let outside = outside
        .map(|note| verify_with(note, trusted))
        .transpose()
        .map_err(Finding::OutsideCheckpoint)?;
    verify_tree(lines, &checkpoints, outside.as_ref())
}

/// The part of [`verify_export`] that comes after the signatures, for where those were checked by other means.
pub fn verify_tree<L: AsRef<[u8]>>(
    lines: impl IntoIterator<Item = L>,
    checkpoints: &[Checkpoint],
    outside: Option<&Checkpoint>,
) -> Result<Report, Finding> {
    let mut own: Vec<&Checkpoint> = checkpoints.iter().collect();
    own.sort_by_key(|checkpoint| checkpoint.size);
    let newest = *own.last().ok_or(Finding::NoCheckpoint)?;
    for other in own.iter().copied().chain(outside) {
        if other.origin != newest.origin {
            return Err(Finding::TwoLogs {
                one: newest.origin.clone(),
                other: other.origin.clone(),
            });
        }
    }
    for pair in own.windows(2) {
        if pair[0].size == pair[1].size && pair[0].root != pair[1].root {
            return Err(Finding::SecondHistory { size: pair[0].size });
        }
    }

    let mut frontier = Frontier::new();
    let mut waiting = own.iter().copied().peekable();
    let mut good = 0;
    let mut outside_root = None;
    let mut span: Option<(i64, i64)> = None;
    let mut lines = lines.into_iter();
    loop {
        let size = frontier.size();
        while let Some(checkpoint) = waiting.next_if(|checkpoint| checkpoint.size == size) {
            if checkpoint.root != frontier.root() {
                return Err(altered(good, size));
            }
            good = size;
        }
        if outside.is_some_and(|outside| outside.size == size) {
            outside_root = Some(frontier.root());
        }
        let Some(line) = lines.next() else { break };
        let (index, bytes) = read_line(line.as_ref()).ok_or(Finding::Line { line: size + 1 })?;
        if index != size {
            return Err(out_of_place(size, index, lines));
        }
        if size == newest.size {
            return Err(Finding::AddedAtEnd { signed: size });
        }
        let leaf = Leaf::parse(&bytes).map_err(|reason| Finding::Leaf { index, reason })?;
        let (first, last) = span.unwrap_or((leaf.at, leaf.at));
        span = Some((first.min(leaf.at), last.max(leaf.at)));
        frontier.append(leaf_hash(&bytes));
    }

    let entries = frontier.size();
    let signed = outside.map_or(0, |outside| outside.size).max(newest.size);
    if entries < signed {
        return Err(Finding::CutTail { entries, signed });
    }
    if let Some(outside) = outside
        && outside_root != Some(outside.root)
    {
        return Err(Finding::SecondHistory { size: outside.size });
    }
    Ok(Report {
        origin: newest.origin.clone(),
        entries,
        root: newest.root,
        checkpoints: own.len(),
        outside: outside.map(|outside| outside.size),
        span,
    })
}

/// Entries `from..size` are under a checkpoint that does not fit. With none there, it is the empty tree's checkpoint
/// that is false; it covers nothing, so the first entry is named.
fn altered(from: u64, size: u64) -> Finding {
    Finding::Altered {
        from,
        last: size.saturating_sub(1),
    }
}

/// The index and the leaf in a line of an export; `None` if it is no such line.
#[must_use]
pub fn read_line(line: &[u8]) -> Option<(u64, Vec<u8>)> {
    let limits = Limits {
        bytes: usize::MAX,
        depth: 1,
        integers_only: true,
    };
    let mut object = parse_strict_object(line, limits).ok()?;
    let index = object.remove("index")?.as_u64()?;
    let leaf = object.remove("leaf")?;
    if !object.is_empty() || index > MAX_SAFE_INTEGER.unsigned_abs() {
        return None;
    }
    Some((index, from_base64url(leaf.as_str()?).ok()?))
}

/// Says what it means that `found` stands where `expected` should: looks whether that one comes later.
fn out_of_place<L: AsRef<[u8]>>(
    expected: u64,
    found: u64,
    mut rest: impl Iterator<Item = L>,
) -> Finding {
    let comes_later =
        rest.any(|line| read_line(line.as_ref()).is_some_and(|(index, _)| index == expected));
    match (found < expected, comes_later) {
        (true, _) => Finding::Added { index: found },
        (false, true) => Finding::Reordered { index: expected },
        (false, false) => Finding::Dropped { index: expected },
    }
}

#[cfg(test)]
mod tests;
