//! Recomputes the whole log from its rows and names what is wrong.
//!
//! Sequenced rows never change, so this reads beside running writers: it checks
//! up to the size the tree had when it began, in pages, with flat memory.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use evidence::checkpoint::Checkpoint;
use evidence::digest::Hash;
use evidence::leaf::{Commitment, Leaf, LeafError};
use evidence::merkle::{Frontier, leaf_hash};
use evidence::note::NoteError;

use super::Error;
use super::log::Log;
use super::sql::{StoredCheckpoint, StoredEvent, StoredOpening, number};
use crate::Engine;
use crate::storage::Tx;

/// How many rows are read at once.
const PAGE: i64 = 500;
/// How many findings are named; more are counted.
const NAMED: usize = 100;

/// Something in the rows that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Finding {
    /// The bytes of an entry are no leaf.
    #[error("The leaf of event {id} was changed: {reason}.")]
    Leaf {
        /// The event.
        id: String,
        /// What is wrong with its bytes.
        reason: LeafError,
    },
    /// A column says something else than the leaf it was written with.
    #[error("Column {column} of event {id} is not what its leaf says.")]
    Column {
        /// The event.
        id: String,
        /// The column.
        column: &'static str,
    },
    /// Indexes that no row has.
    #[error("Entries {from} to {last} are missing.")]
    Missing {
        /// The first.
        from: u64,
        /// The last.
        last: u64,
    },
    /// Entries that do not add up to what was signed.
    #[error(
        "Entries {from} to {last} do not add up to what was signed: at least one was changed, or they were reordered."
    )]
    Altered {
        /// The first that no good checkpoint covers.
        from: u64,
        /// The last under the checkpoint that does not fit.
        last: u64,
    },
    /// A stored checkpoint is not one of this log's key.
    #[error("The checkpoint over {size} entries is not to be believed: {reason}.")]
    Checkpoint {
        /// Its size, by its row.
        size: i64,
        /// Why.
        reason: NoteError,
    },
    /// A stored checkpoint whose row says something else than its signed note.
    #[error("The row of the checkpoint over {size} entries is not what its signed note says.")]
    CheckpointRow {
        /// Its size, by its row.
        size: i64,
    },
    /// The tree is larger than what was signed.
    #[error("The {size} entries of the tree were never signed as a whole.")]
    Unsigned {
        /// How many entries the tree has.
        size: u64,
    },
    /// The stored right edge is not that of the entries.
    #[error("The stored tree over {size} entries is not the tree of its entries.")]
    Tree {
        /// How many entries the tree has.
        size: u64,
    },
    /// The stored tree cannot be read.
    #[error("The stored tree cannot be read.")]
    TreeRow,
    /// Entries or checkpoints that the tree does not have.
    #[error("There are entries or checkpoints beyond the {size} entries of the tree.")]
    Beyond {
        /// How many entries the tree has.
        size: u64,
    },
    /// Kept personal data that is not what the leaf commits to.
    #[error("The kept value of {field} in event {id} is not what its leaf commits to.")]
    Opening {
        /// The event.
        id: String,
        /// The field.
        field: String,
    },
    /// The outside checkpoint is not one of this log.
    #[error("The outside checkpoint is not to be believed: {0}.")]
    OutsideCheckpoint(NoteError),
    /// The outside checkpoint covers more than there is.
    #[error("The tail was cut: {signed} entries were signed, there are {entries}.")]
    CutTail {
        /// How many entries there are.
        entries: u64,
        /// How many there must have been.
        signed: u64,
    },
    /// The outside checkpoint covers other entries.
    #[error(
        "There is a second history: the outside checkpoint over {size} entries does not fit them."
    )]
    SecondHistory {
        /// How many entries it covers.
        size: u64,
    },
}

/// What verification found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The log's name.
    pub origin: String,
    /// How many entries were checked.
    pub entries: u64,
    /// The root over them, recomputed.
    pub root: Hash,
    /// How many checkpoints were checked.
    pub checkpoints: u64,
    /// How many kept values were checked against their commitments.
    pub openings: u64,
    /// How many commitments have no value any more.
    pub erased: u64,
    /// How many events have no number yet. Their rows were checked, no tree covers them.
    pub unsequenced: u64,
    /// How many entries the outside checkpoint covers, if there was one.
    pub outside: Option<u64>,
    /// When the earliest and the latest entry happened, in Unix milliseconds.
    pub span: Option<(i64, i64)>,
    /// What is wrong, the first hundred.
    pub findings: Vec<Finding>,
    /// How many findings there are beyond those.
    pub more: u64,
}

impl Report {
    /// Whether nothing is wrong.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }

    fn found(&mut self, finding: Finding) {
        if self.findings.len() < NAMED {
            self.findings.push(finding);
        } else {
            self.more += 1;
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let Self {
            origin,
            entries,
            checkpoints,
            openings,
            erased,
            unsequenced,
            ..
        } = self;
        if self.is_sound() {
            write!(
                formatter,
                "All {entries} entries of {origin} are as they were signed ({checkpoints} checkpoints, \
                 {openings} kept values, {erased} erased)"
            )?;
            match self.outside {
                Some(size) => write!(
                    formatter,
                    ", and the first {size} as the outside checkpoint has them."
                )?,
                None => write!(
                    formatter,
                    ". Without an outside checkpoint this cannot show a second history."
                )?,
            }
        } else {
            write!(formatter, "{origin} is not as it was written:")?;
            for finding in &self.findings {
                write!(formatter, "\n- {finding}")?;
            }
            if self.more > 0 {
                write!(formatter, "\n- and {} more.", self.more)?;
            }
        }
        if *unsequenced > 0 {
            write!(formatter, "\n{unsequenced} events wait for their number.")?;
        }
        Ok(())
    }
}

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
    let mut report = Report {
        origin: log.origin().to_owned(),
        entries: 0,
        root: Frontier::new().root(),
        checkpoints: 0,
        openings: 0,
        erased: 0,
        unsequenced: 0,
        outside: None,
        span: None,
        findings: Vec::new(),
        more: 0,
    };
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

/// Checks rows where there is no tree to hold them against.
async fn entries_only(reader: &mut Tx, report: &mut Report, size: u64) -> Result<(), Error> {
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
async fn waiting(reader: &mut Tx, report: &mut Report) -> Result<(), Error> {
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

/// Commitments of a page that no kept value was found for yet, by event and field.
type Commitments = BTreeMap<(String, String), Commitment>;

/// Holds the columns of an event against its leaf.
fn check_row(event: &StoredEvent, report: &mut Report, commitments: &mut Commitments) {
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
async fn check_openings(
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
