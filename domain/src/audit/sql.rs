//! The rows of the audit log.

use std::collections::BTreeMap;

use evidence::merkle::Frontier;

use super::list::Filter;
use crate::storage::{Error, Json, Row, Tx, Value};

/// The row of `audit_tree`.
pub(super) struct StoredTree {
    pub(super) frontier: Frontier,
}

/// A row of `audit_checkpoints`, as it is stored: nothing in it is believed yet.
pub(super) struct StoredCheckpoint {
    pub(super) size: i64,
    pub(super) root: Vec<u8>,
    pub(super) note: String,
    pub(super) created_at: i64,
}

impl StoredCheckpoint {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            size: row.get("size")?,
            root: row.get("root")?,
            note: row.get("note")?,
            created_at: row.get("created_at")?,
        })
    }
}

/// A row of `events`, as it is stored.
pub(super) struct StoredEvent {
    pub(super) id: String,
    pub(super) at: i64,
    pub(super) kind: String,
    pub(super) person: Option<String>,
    pub(super) client: Option<String>,
    pub(super) account: Option<String>,
    pub(super) approval: Option<String>,
    pub(super) run: Option<String>,
    pub(super) leaf: Vec<u8>,
    pub(super) leaf_hash: Vec<u8>,
    pub(super) index: Option<i64>,
}

impl StoredEvent {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.get("id")?,
            at: row.get("at")?,
            kind: row.get("kind")?,
            person: row.get("person_id")?,
            client: row.get("client_id")?,
            account: row.get("account_id")?,
            approval: row.get("approval_id")?,
            run: row.get("run_id")?,
            leaf: row.get("leaf")?,
            leaf_hash: row.get("leaf_hash")?,
            index: row.get("leaf_index")?,
        })
    }
}

/// A row of `event_openings`.
pub(super) struct StoredOpening {
    pub(super) event: String,
    pub(super) index: Option<i64>,
    pub(super) field: String,
    pub(super) salt: Vec<u8>,
    pub(super) value: String,
}

impl StoredOpening {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            event: row.get("event_id")?,
            index: row.get("leaf_index")?,
            field: row.get("field")?,
            salt: row.get("salt")?,
            value: row.get("value")?,
        })
    }
}

/// A size or index as the database has it. The tree is far from 2⁶³.
pub(super) fn number(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

/// The columns of an event, in a literal so that statements can be put together.
macro_rules! columns {
    () => {
        "e.id, e.at, e.kind, e.person_id, e.client_id, e.account_id, e.approval_id, e.run_id, \
         e.leaf, e.leaf_hash, e.leaf_index"
    };
}

/// A page of events with their openings. `$1`, `$2` is the place before which
/// the page ends, `$3` the earliest time; `$4`…`$6` person, client and kind. The
/// filter that leads has an index of its own, the others sift what it finds.
macro_rules! page {
    ($filter:literal) => {
        concat!(
            "select ",
            columns!(),
            ", o.field, o.value from (select * from events where (at, id) < ($1, $2) and at >= $3 and ",
            $filter,
            " order by at desc, id desc limit $7) e \
             left join event_openings o on o.event_id = e.id order by e.at desc, e.id desc, o.field"
        )
    };
}

const BY_PERSON: &str =
    page!("person_id = $4 and ($5 is null or client_id = $5) and ($6 is null or kind = $6)");
const BY_CLIENT: &str =
    page!("($4 is null or person_id = $4) and client_id = $5 and ($6 is null or kind = $6)");
const BY_KIND: &str =
    page!("($4 is null or person_id = $4) and ($5 is null or client_id = $5) and kind = $6");
const BY_TIME: &str = page!(
    "($4 is null or person_id = $4) and ($5 is null or client_id = $5) and ($6 is null or kind = $6)"
);

impl Tx {
    /// What the newest events of a kind say in clear: several may be of the same
    /// time. For other rooms, whose rows may be older than what the log has seen
    /// of them.
    pub(crate) async fn newest_event_data(
        &mut self,
        kind: super::Kind,
    ) -> Result<Vec<serde_json::Map<String, serde_json::Value>>, Error> {
        let rows = self
            .all(
                "select id, leaf from events where kind = $1 \
                 and at = (select max(at) from events where kind = $1) limit 1000",
                vec![kind.word().into()],
            )
            .await?;
        rows.iter()
            .map(|row| {
                let leaf = evidence::leaf::Leaf::parse(&row.get::<Vec<u8>>("leaf")?)
                    .map_err(|_| row.bad("events", "leaf"))?;
                Ok(leaf.data)
            })
            .collect()
    }

    /// The tree, if anything was ever numbered.
    pub(super) async fn audit_tree(&mut self) -> Result<Option<StoredTree>, Error> {
        let row = self
            .optional(
                "select id, size, frontier from audit_tree where id = 'log'",
                vec![],
            )
            .await?;
        row.map(|row| {
            let frontier: Frontier = row.json("audit_tree", "frontier")?;
            if number(frontier.size()) != row.get::<i64>("size")? {
                return Err(row.bad("audit_tree", "size"));
            }
            Ok(StoredTree { frontier })
        })
        .transpose()
    }

    /// Makes the empty tree; false when another instance just did.
    pub(super) async fn audit_plant_tree(&mut self, now: i64) -> Result<bool, Error> {
        let sql = "insert into audit_tree (id, size, frontier, updated_at) values ('log', 0, $1, $2) \
                   on conflict (id) do nothing";
        let frontier = Json(Frontier::new());
        Ok(self.execute(sql, vec![frontier.into(), now.into()]).await? == 1)
    }

    /// Takes the tree's row, if it still has this size: nobody else numbers until this write ends.
    pub(super) async fn audit_claim_tree(&mut self, size: u64, now: i64) -> Result<bool, Error> {
        let sql = "update audit_tree set updated_at = $1 where id = 'log' and size = $2";
        let args = vec![now.into(), number(size).into()];
        Ok(self.execute(sql, args).await? == 1)
    }

    /// Stores the grown tree. Only after [`Tx::audit_claim_tree`].
    pub(super) async fn audit_grow_tree(
        &mut self,
        old: u64,
        grown: &Frontier,
        now: i64,
    ) -> Result<(), Error> {
        let sql = "update audit_tree set size = $1, frontier = $2, updated_at = $3 \
                   where id = 'log' and size = $4";
        let args = vec![
            number(grown.size()).into(),
            Json(grown).into(),
            now.into(),
            number(old).into(),
        ];
        self.execute(sql, args).await.map(|_| ())
    }

    /// Whether any event waits for its number.
    pub(super) async fn audit_has_unsequenced(&mut self) -> Result<bool, Error> {
        let sql = "select id from events where leaf_index is null limit 1";
        Ok(self.optional(sql, vec![]).await?.is_some())
    }

    /// How many events wait.
    pub(super) async fn audit_count_unsequenced(&mut self) -> Result<i64, Error> {
        let sql = "select count(*) as waiting from events where leaf_index is null";
        match self.optional(sql, vec![]).await? {
            Some(row) => row.get("waiting"),
            None => Ok(0),
        }
    }

    /// Numbers the oldest waiting events from `first` on; answers index and leaf, in any order.
    pub(super) async fn audit_number(
        &mut self,
        first: u64,
        limit: i64,
    ) -> Result<Vec<(i64, Vec<u8>)>, Error> {
        let sql = "update events set leaf_index = n.place + $1 from ( \
                     select id as event, row_number() over (order by at, id) - 1 as place from ( \
                       select id, at from events where leaf_index is null order by at, id limit $2 \
                     ) as waiting \
                   ) as n where events.id = n.event returning leaf_index, leaf";
        self.swap_all(sql, vec![number(first).into(), limit.into()])
            .await?
            .iter()
            .map(|row| Ok((row.get("leaf_index")?, row.get("leaf")?)))
            .collect()
    }

    /// Stores a signed checkpoint.
    pub(super) async fn audit_add_checkpoint(
        &mut self,
        size: u64,
        root: [u8; 32],
        note: &str,
        now: i64,
    ) -> Result<(), Error> {
        let sql =
            "insert into audit_checkpoints (size, root, note, created_at) values ($1, $2, $3, $4)";
        let args = vec![number(size).into(), root.into(), note.into(), now.into()];
        self.execute(sql, args).await.map(|_| ())
    }

    /// The checkpoint of the largest size.
    pub(super) async fn audit_newest(&mut self) -> Result<Option<StoredCheckpoint>, Error> {
        let sql =
            "select size, root, note, created_at from audit_checkpoints order by size desc limit 1";
        let row = self.optional(sql, vec![]).await?;
        row.as_ref().map(StoredCheckpoint::from_row).transpose()
    }

    /// Checkpoints of sizes above `after`, smallest first.
    pub(super) async fn audit_checkpoints_after(
        &mut self,
        after: i64,
        limit: i64,
    ) -> Result<Vec<StoredCheckpoint>, Error> {
        let sql = "select size, root, note, created_at from audit_checkpoints \
                   where size > $1 order by size limit $2";
        let rows = self.all(sql, vec![after.into(), limit.into()]).await?;
        rows.iter().map(StoredCheckpoint::from_row).collect()
    }

    /// The newest checkpoints, largest first.
    pub(super) async fn audit_newest_checkpoints(
        &mut self,
        limit: i64,
    ) -> Result<Vec<StoredCheckpoint>, Error> {
        let sql = "select size, root, note, created_at from audit_checkpoints order by size desc limit $1";
        let rows = self.all(sql, vec![limit.into()]).await?;
        rows.iter().map(StoredCheckpoint::from_row).collect()
    }

    /// Numbered events of indexes above `after`, in order.
    pub(super) async fn audit_entries_after(
        &mut self,
        after: i64,
        limit: i64,
    ) -> Result<Vec<StoredEvent>, Error> {
        let sql = concat!(
            "select ",
            columns!(),
            " from events e where e.leaf_index > $1 order by e.leaf_index limit $2"
        );
        let rows = self.all(sql, vec![after.into(), limit.into()]).await?;
        rows.iter().map(StoredEvent::from_row).collect()
    }

    /// Events without a number after this time and id, in order.
    pub(super) async fn audit_waiting_after(
        &mut self,
        (at, id): (i64, &str),
        limit: i64,
    ) -> Result<Vec<StoredEvent>, Error> {
        let sql = concat!(
            "select ",
            columns!(),
            " from events e where e.leaf_index is null and (e.at, e.id) > ($1, $2) \
             order by e.at, e.id limit $3"
        );
        let rows = self
            .all(sql, vec![at.into(), id.into(), limit.into()])
            .await?;
        rows.iter().map(StoredEvent::from_row).collect()
    }

    /// Leaf hashes of the indexes from `first` to before `end`, in order.
    pub(super) async fn audit_leaf_hashes(
        &mut self,
        first: u64,
        end: u64,
        limit: i64,
    ) -> Result<Vec<[u8; 32]>, Error> {
        let sql = "select id, leaf_hash from events where leaf_index >= $1 and leaf_index < $2 \
                   order by leaf_index limit $3";
        let args = vec![number(first).into(), number(end).into(), limit.into()];
        let rows = self.all(sql, args).await?;
        rows.iter()
            .map(|row| row.digest("events", "leaf_hash"))
            .collect()
    }

    /// One event.
    pub(super) async fn audit_event(&mut self, id: &str) -> Result<Option<StoredEvent>, Error> {
        let sql = concat!("select ", columns!(), " from events e where e.id = $1");
        let row = self.optional(sql, vec![id.into()]).await?;
        row.as_ref().map(StoredEvent::from_row).transpose()
    }

    /// Openings of numbered events up to index `last`, after that index and field, in order.
    pub(super) async fn audit_openings_after(
        &mut self,
        (index, field): (i64, &str),
        last: i64,
        limit: i64,
    ) -> Result<Vec<StoredOpening>, Error> {
        let sql = "select o.event_id, e.leaf_index, o.field, o.salt, o.value \
                   from events e join event_openings o on o.event_id = e.id \
                   where (e.leaf_index, o.field) > ($1, $2) and e.leaf_index >= $1 and e.leaf_index <= $3 \
                   order by e.leaf_index, o.field limit $4";
        let args = vec![index.into(), field.into(), last.into(), limit.into()];
        let rows = self.all(sql, args).await?;
        rows.iter().map(StoredOpening::from_row).collect()
    }

    /// Openings of one event. An event has a handful; a thousand is a bound, not a page.
    pub(super) async fn audit_openings_of(
        &mut self,
        event: &str,
    ) -> Result<Vec<StoredOpening>, Error> {
        let sql = "select o.event_id, e.leaf_index, o.field, o.salt, o.value \
                   from events e join event_openings o on o.event_id = e.id \
                   where e.id = $1 order by o.field limit 1000";
        let rows = self.all(sql, vec![event.into()]).await?;
        rows.iter().map(StoredOpening::from_row).collect()
    }

    /// Whether an entry or a checkpoint lies beyond the tree. One statement, so
    /// that a sequencer at work cannot make it look so.
    pub(super) async fn audit_beyond_tree(&mut self) -> Result<bool, Error> {
        let sql = "select 1 as beyond from events where leaf_index >= \
                     coalesce((select size from audit_tree where id = 'log'), 0) \
                   union all select 1 from audit_checkpoints where size > \
                     coalesce((select size from audit_tree where id = 'log'), 0) limit 1";
        Ok(self.optional(sql, vec![]).await?.is_some())
    }

    /// Forgets what the commitments in a person's events stand for; answers how many.
    pub(super) async fn audit_erase(&mut self, person: &str) -> Result<u64, Error> {
        let sql = "delete from event_openings where event_id in \
                   (select id from events where person_id = $1)";
        self.execute(sql, vec![person.into()]).await
    }

    /// A page of events, newest first, each with what its commitments stand for.
    pub(super) async fn audit_page(
        &mut self,
        filter: &Filter,
        limit: i64,
    ) -> Result<Vec<(StoredEvent, BTreeMap<String, String>)>, Error> {
        let sql = match filter {
            Filter {
                person: Some(_), ..
            } => BY_PERSON,
            Filter {
                client: Some(_), ..
            } => BY_CLIENT,
            Filter { kind: Some(_), .. } => BY_KIND,
            Filter { .. } => BY_TIME,
        };
        let (at, id) = filter.end();
        let args: Vec<Value> = vec![
            at.into(),
            id.into(),
            filter.since.unwrap_or(i64::MIN).into(),
            (&filter.person).into(),
            (&filter.client).into(),
            (&filter.kind).into(),
            limit.into(),
        ];
        let mut events: Vec<(StoredEvent, BTreeMap<String, String>)> = Vec::new();
        for row in self.all(sql, args).await? {
            let id: String = row.get("id")?;
            if events.last().is_none_or(|(event, _)| event.id != id) {
                events.push((StoredEvent::from_row(&row)?, BTreeMap::new()));
            }
            let opening = (row.get("field")?, row.get("value")?);
            if let (Some((_, private)), (Some(field), Some(value))) = (events.last_mut(), opening) {
                private.insert(field, value);
            }
        }
        Ok(events)
    }
}
