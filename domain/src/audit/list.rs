//! What pages show: events, newest first, and how far the tree is.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use evidence::digest::Hash;
use evidence::leaf::Leaf;
use evidence::merkle::Frontier;
use serde_json::{Map, Value};

use super::Error;
use super::sql::StoredEvent;
use crate::Engine;
use crate::storage;

/// How many events one page has at most.
pub const MOST: usize = 200;

/// Which events. All that is set must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// About this person (id).
    pub person: Option<String>,
    /// By this client (id).
    pub client: Option<String>,
    /// Of this kind, by its word ([`super::Kind::word`]).
    pub kind: Option<String>,
    /// Not before this time, in Unix milliseconds.
    pub since: Option<i64>,
    /// Before this time, in Unix milliseconds.
    pub until: Option<i64>,
    /// Older than this event: the cursor of the last one on the page before.
    pub before: Option<Cursor>,
}

impl Filter {
    /// The place before which all of it lies: whichever of `until` and `before` is earlier.
    pub(super) fn end(&self) -> (i64, String) {
        let until = (self.until.unwrap_or(i64::MAX), String::new());
        match &self.before {
            None => until,
            Some(before) => until.min((before.at, before.id.clone())),
        }
    }
}

/// A place in the list. As text `at.id`, which goes into addresses as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    at: i64,
    id: String,
}

impl fmt::Display for Cursor {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "{}.{}", self.at, self.id)
    }
}

/// A text that is no cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not a place in the list")]
pub struct NoCursor;

impl FromStr for Cursor {
    type Err = NoCursor;

    fn from_str(text: &str) -> Result<Self, NoCursor> {
        let (at, id) = text.split_once('.').ok_or(NoCursor)?;
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if id.is_empty() || id.len() > 64 || !id.bytes().all(fits) {
            return Err(NoCursor);
        }
        Ok(Self {
            at: at.parse().map_err(|_| NoCursor)?,
            id: id.to_owned(),
        })
    }
}

/// An event as people see it.
#[derive(Clone, Debug, PartialEq)]
pub struct EventView {
    /// Its id.
    pub id: String,
    /// When, in Unix milliseconds.
    pub at: i64,
    /// What happened, by its word.
    pub kind: String,
    /// The person it concerns.
    pub person_id: Option<String>,
    /// The client.
    pub client_id: Option<String>,
    /// The account.
    pub account_id: Option<String>,
    /// The approval.
    pub approval_id: Option<String>,
    /// The run.
    pub run_id: Option<String>,
    /// Its place in the log; none in the second before it is numbered.
    pub index: Option<u64>,
    /// What the leaf says in clear.
    pub data: Map<String, Value>,
    /// The personal data that the leaf commits to, as far as it was not erased.
    pub private: BTreeMap<String, String>,
}

impl EventView {
    /// Where the next page begins, if this is the last event on one.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        Cursor {
            at: self.at,
            id: self.id.clone(),
        }
    }

    fn new(event: StoredEvent, private: BTreeMap<String, String>) -> Result<Self, storage::Error> {
        let bad = |column| storage::Error::BadRow {
            table: "events",
            column,
            id: event.id.clone(),
        };
        let leaf = Leaf::parse(&event.leaf).map_err(|_| bad("leaf"))?;
        let index = event
            .index
            .map(|index| u64::try_from(index).map_err(|_| bad("leaf_index")))
            .transpose()?;
        Ok(Self {
            id: event.id,
            at: event.at,
            kind: event.kind,
            person_id: event.person,
            client_id: event.client,
            account_id: event.account,
            approval_id: event.approval,
            run_id: event.run,
            index,
            data: leaf.data,
            private,
        })
    }
}

/// Events that fit the filter, newest first, at most `limit` and never more than
/// [`MOST`]. For admins: it shows everybody's.
///
/// # Errors
/// The database's, or a row that was changed from outside.
pub async fn list(engine: &Engine, filter: &Filter, limit: usize) -> Result<Vec<EventView>, Error> {
    let limit = i64::try_from(limit.clamp(1, MOST)).unwrap_or(1);
    let page = engine
        .store
        .reader()
        .await?
        .audit_page(filter, limit)
        .await?;
    Ok(page
        .into_iter()
        .map(|(event, private)| EventView::new(event, private))
        .collect::<Result<_, _>>()?)
}

/// As [`list`], for a person: events about themselves and no others, whatever
/// the filter says.
///
/// # Errors
/// As [`list`].
pub async fn list_for_person(
    engine: &Engine,
    person: &str,
    filter: &Filter,
    limit: usize,
) -> Result<Vec<EventView>, Error> {
    let own = Filter {
        person: Some(person.to_owned()),
        ..filter.clone()
    };
    list(engine, &own, limit).await
}

/// How far the log is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    /// How many entries are numbered and signed.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
    /// The newest checkpoint, as a signed note; none while the log is empty.
    pub checkpoint: Option<String>,
    /// When that was signed, in Unix milliseconds.
    pub at: Option<i64>,
    /// How many events wait for their number.
    pub waiting: u64,
}

/// The tree as it was signed last; [`super::verify`] says whether to believe it.
///
/// # Errors
/// The database's.
pub async fn tree(engine: &Engine) -> Result<Tree, Error> {
    let mut reader = engine.store.reader().await?;
    let newest = reader.audit_newest().await?;
    let waiting = reader.audit_count_unsequenced().await?;
    let waiting = u64::try_from(waiting).unwrap_or(0);
    let Some(newest) = newest else {
        return Ok(Tree {
            size: 0,
            root: Frontier::new().root(),
            checkpoint: None,
            at: None,
            waiting,
        });
    };
    let bad = |column| storage::Error::BadRow {
        table: "audit_checkpoints",
        column,
        id: newest.size.to_string(),
    };
    Ok(Tree {
        size: u64::try_from(newest.size).map_err(|_| bad("size"))?,
        root: newest.root.as_slice().try_into().map_err(|_| bad("root"))?,
        checkpoint: Some(newest.note),
        at: Some(newest.created_at),
        waiting,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_nothing_else_is_one() {
        let cursor = Cursor {
            at: 17,
            id: "evt_1a".to_owned(),
        };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for text in ["", "17", "17.", ".evt", "x.evt", "17.a b", "17.é"] {
            assert_eq!(text.parse::<Cursor>(), Err(NoCursor), "{text}");
        }
    }

    #[test]
    fn the_earlier_of_two_ends_counts() {
        let before = Some(Cursor {
            at: 5,
            id: "evt_1".to_owned(),
        });
        let filter = |until| Filter {
            until,
            before: before.clone(),
            ..Filter::default()
        };
        assert_eq!(filter(None).end(), (5, "evt_1".to_owned()));
        assert_eq!(filter(Some(9)).end(), (5, "evt_1".to_owned()));
        assert_eq!(filter(Some(5)).end(), (5, String::new()));
    }
}
