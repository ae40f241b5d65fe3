//! What verification says.

use std::fmt;

use evidence::digest::Hash;
use evidence::leaf::LeafError;
use evidence::merkle::Frontier;
use evidence::note::NoteError;

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
    /// Of a log in which nothing was looked at yet.
    pub(super) fn new(origin: &str) -> Self {
        Self {
            origin: origin.to_owned(),
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
        }
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }

    pub(super) fn found(&mut self, finding: Finding) {
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
