//! Recomputes the whole log from its rows and names what is wrong.
//!
//! Sequenced rows never change, so this reads beside running writers: it checks
//! up to the size the tree had when it began, in pages, with flat memory.

mod report;
mod rows;

use std::collections::VecDeque;

use evidence::checkpoint::Checkpoint;
use evidence::merkle::{Frontier, leaf_hash};

pub use report::{Finding, Report};

use super::Error;
use super::log::Log;
use super::sql::{StoredCheckpoint, number};
use crate::Engine;
use crate::storage::Tx;
use rows::{Commitments, check_openings, check_row, entries_only, waiting};

/// How many rows are read at once.
const PAGE: i64 = 500;
/// Recomputes every leaf hash and the tree, and holds against them: the columns,
/// the kept personal data, the stored tree, every checkpoint, and `outside`, a
/// signed checkpoint (the note's text) that was kept elsewhere.
///
/// # Errors
/// The database's, or when the log's key cannot be used. Damage is a [`Finding`].
pub async fn verify(engine: &Engine, outside: Option<&str>) -> Result<Report, Error> {
    let mut reader = engine.store.reader().await?;
    let newest = reader.audit_newest().await?;
    let log = Log::open(engine, newest.as_ref())?;
    let mut report = Report::new(log.origin());
    let outside = match outside.map(|note| log.read(note)) {
        None => None,
        Some(Ok(outside)) => Some(outside),
        Some(Err(reason)) => {
            report.found(Finding::OutsideCheckpoint(reason));
            None
        }
    };
    report.outside = outside.as_ref().map(|outside| outside.size);
    let stored = match reader.audit_tree().await {
        Ok(tree) => tree.map(|tree| tree.frontier).unwrap_or_default(),
        Err(crate::storage::Error::BadRow { .. }) => {
            report.found(Finding::TreeRow);
            // The checkpoint says at least how far to look.
            let size = newest.map_or(0, |newest| u64::try_from(newest.size).unwrap_or(0));
            entries_only(&mut reader, &mut report, size).await?;
            return Ok(report);
        }
        Err(error) => return Err(error.into()),
    };
    let check = Check {
        tree: Frontier::new(),
        stored,
        whole: true,
        good: 0,
        signed: Checkpoints::new(),
        log,
        outside,
    };
    check.run(&mut reader, &mut report).await?;
    waiting(&mut reader, &mut report).await?;
    Ok(report)
}

/// Stored checkpoints in the order of their sizes, a page at a time.
struct Checkpoints {
    waiting: VecDeque<StoredCheckpoint>,
    /// After which size the next page begins; none when all were read.
    after: Option<i64>,
}

impl Checkpoints {
    const fn new() -> Self {
        Self {
            waiting: VecDeque::new(),
            after: Some(i64::MIN),
        }
    }

    /// The next one, if its size is at most `size`.
    async fn next_up_to(
        &mut self,
        reader: &mut Tx,
        size: u64,
    ) -> Result<Option<StoredCheckpoint>, Error> {
        if self.waiting.is_empty()
            && let Some(after) = self.after
        {
            self.waiting = reader.audit_checkpoints_after(after, PAGE).await?.into();
            self.after = self.waiting.back().map(|back| back.size);
        }
        let due = |front: &StoredCheckpoint| front.size <= number(size);
        Ok(if self.waiting.front().is_some_and(due) {
            self.waiting.pop_front()
        } else {
            None
        })
    }
}

struct Check {
    /// The tree as far as it was recomputed.
    tree: Frontier,
    /// The tree as it is stored.
    stored: Frontier,
    /// Whether nothing was found missing or altered in it yet; after the first
    /// such finding no root can fit any more, and saying so again helps nobody.
    whole: bool,
    /// How many entries the last good checkpoint covers.
    good: u64,
    signed: Checkpoints,
    log: Log,
    outside: Option<Checkpoint>,
}

impl Check {
    async fn run(mut self, reader: &mut Tx, report: &mut Report) -> Result<(), Error> {
        let size = self.stored.size();
        let mut last = i64::MIN;
        // The place in the log that comes next. Ahead of the tree after a gap.
        let mut next = 0;
        self.at_size(reader, report, 0).await?;
        while next < size {
            let page = reader.audit_entries_after(last, PAGE).await?;
            let mut commitments = Commitments::new();
            let mut seen = None;
            for event in &page {
                let index = event.index.unwrap_or(i64::MIN);
                let Ok(place) = u64::try_from(index) else {
                    let id = event.id.clone();
                    report.found(Finding::Column {
                        id,
                        column: "leaf_index",
                    });
                    last = index;
                    continue;
                };
                if place >= size {
                    break;
                }
                if place > next {
                    self.missing(report, next, place - 1);
                }
                check_row(event, report, &mut commitments);
                self.tree.append(leaf_hash(&event.leaf));
                report.entries += 1;
                next = place + 1;
                seen = Some(index);
                if self.whole {
                    self.at_size(reader, report, next).await?;
                }
            }
            match seen {
                Some(end) => {
                    check_openings(reader, report, commitments, last, end).await?;
                    last = end;
                }
                None if page
                    .iter()
                    .any(|event| event.index.is_some_and(|index| index < 0)) => {}
                None => {
                    self.missing(report, next, size - 1);
                    break;
                }
            }
        }
        // After a gap the remaining checkpoints can still be checked for themselves.
        self.at_size(reader, report, size).await?;
        report.root = self.tree.root();
        if self.whole && self.tree != self.stored {
            report.found(Finding::Tree { size });
        }
        if self.whole && self.good < size {
            report.found(Finding::Unsigned { size });
        }
        if let Some(outside) = &self.outside
            && outside.size > size
        {
            let (entries, signed) = (size, outside.size);
            report.found(Finding::CutTail { entries, signed });
        }
        if reader.audit_beyond_tree().await? {
            report.found(Finding::Beyond { size });
        }
        Ok(())
    }

    fn missing(&mut self, report: &mut Report, from: u64, last: u64) {
        self.whole = false;
        report.found(Finding::Missing { from, last });
    }

    /// Holds every checkpoint of at most this size against the tree.
    async fn at_size(
        &mut self,
        reader: &mut Tx,
        report: &mut Report,
        size: u64,
    ) -> Result<(), Error> {
        while let Some(stored) = self.signed.next_up_to(reader, size).await? {
            report.checkpoints += 1;
            let signed = match self.log.read(&stored.note) {
                Ok(signed) => signed,
                Err(reason) => {
                    report.found(Finding::Checkpoint {
                        size: stored.size,
                        reason,
                    });
                    continue;
                }
            };
            if number(signed.size) != stored.size || signed.root[..] != stored.root[..] {
                report.found(Finding::CheckpointRow { size: stored.size });
            } else if self.whole && signed.size == size {
                self.fits(report, &signed);
            }
        }
        if self.whole
            && let Some(outside) = &self.outside
            && outside.size == size
            && outside.root != self.tree.root()
        {
            report.found(Finding::SecondHistory { size });
        }
        Ok(())
    }

    fn fits(&mut self, report: &mut Report, signed: &Checkpoint) {
        if signed.root == self.tree.root() {
            self.good = signed.size;
        } else {
            self.whole = false;
            report.found(Finding::Altered {
                from: self.good,
                last: signed.size.saturating_sub(1),
            });
        }
    }
}
