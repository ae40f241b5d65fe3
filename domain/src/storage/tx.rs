//! One connection, reading or inside a write.

use sqlx::pool::PoolConnection;
use sqlx::postgres::Postgres;
use sqlx::sqlite::Sqlite;
use sqlx::{QueryBuilder, Transaction};

use super::listen::CHANNEL;
use super::readers::Reading;
use super::{Error, Ground, Known, Row, Signal, Ticket, Value};
use crate::ids;

enum Inner {
    SqliteWrite(Transaction<'static, Sqlite>),
    SqliteRead(Reading),
    PostgresWrite(Transaction<'static, Postgres>),
    PostgresRead(PoolConnection<Postgres>),
}

/// Runs the same expression on whichever connection there is.
macro_rules! on {
    ($inner:expr, $connection:ident, $wrap:ident => $body:expr) => {
        match $inner {
            Inner::SqliteWrite(tx) => {
                let $connection = &mut **tx;
                #[allow(unused_imports)]
                use Row::Sqlite as $wrap;
                $body
            }
            Inner::SqliteRead(reader) => {
                let $connection = &mut *reader.connection;
                #[allow(unused_imports)]
                use Row::Sqlite as $wrap;
                $body
            }
            Inner::PostgresWrite(tx) => {
                let $connection = &mut **tx;
                #[allow(unused_imports)]
                use Row::Postgres as $wrap;
                $body
            }
            Inner::PostgresRead(reader) => {
                let $connection = &mut **reader;
                #[allow(unused_imports)]
                use Row::Postgres as $wrap;
                $body
            }
        }
    };
}

macro_rules! bind {
    ($sql:expr, $args:expr) => {{
        let mut query = sqlx::query($sql);
        for value in $args {
            query = match value {
                Value::Text(text) => query.bind(text),
                Value::Int(number) => query.bind(number),
                Value::Bool(flag) => query.bind(flag),
                Value::Bytes(bytes) => query.bind(bytes),
            };
        }
        query
    }};
}

/// A row of `events`, made by the audit room, written with the verb that pushed it.
pub struct EventRow {
    /// The event's id.
    pub id: String,
    /// When, Unix milliseconds.
    pub at: i64,
    /// What kind.
    pub kind: String,
    /// The person it concerns.
    pub person_id: Option<String>,
    /// The client it concerns.
    pub client_id: Option<String>,
    /// The account it concerns.
    pub account_id: Option<String>,
    /// The approval it concerns.
    pub approval_id: Option<String>,
    /// The run it concerns.
    pub run_id: Option<String>,
    /// Canonical bytes of the leaf.
    pub leaf: Vec<u8>,
    /// Their RFC 6962 leaf hash.
    pub leaf_hash: [u8; 32],
    /// Openings of its commitments: field, salt, value.
    pub openings: Vec<(String, [u8; 16], String)>,
}

/// A connection. As a writer it is one atomic write; as a reader it only reads.
pub struct Tx {
    inner: Inner,
    ground: Ground,
    pub(super) writes: usize,
    pub(super) transient_failure: bool,
    events: Vec<EventRow>,
    signals: Vec<Signal>,
}

/// As many rows one statement inserts at most: SQLite takes 32,766 parameters, a
/// row has 10.
const MOST_ROWS: usize = 256;

/// Where a verb began in a batch, to take back what a refused one pushed.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    events: usize,
    signals: usize,
    writes: usize,
}

impl Tx {
    fn new(inner: Inner, ground: Ground) -> Self {
        Self {
            inner,
            ground,
            writes: 0,
            transient_failure: false,
            events: Vec::new(),
            signals: Vec::new(),
        }
    }

    pub(super) fn sqlite_writer(tx: Transaction<'static, Sqlite>, ground: Ground) -> Self {
        Self::new(Inner::SqliteWrite(tx), ground)
    }

    pub(super) fn postgres_writer(tx: Transaction<'static, Postgres>, ground: Ground) -> Self {
        Self::new(Inner::PostgresWrite(tx), ground)
    }

    pub(super) fn sqlite_reader(reader: Reading, ground: Ground) -> Self {
        Self::new(Inner::SqliteRead(reader), ground)
    }

    pub(super) fn postgres_reader(reader: PoolConnection<Postgres>, ground: Ground) -> Self {
        Self::new(Inner::PostgresRead(reader), ground)
    }

    /// Wall time in Unix milliseconds.
    #[must_use]
    pub fn now(&self) -> i64 {
        self.ground.clock.now()
    }

    /// A new id with this prefix.
    #[must_use]
    pub fn new_id(&self, prefix: &str) -> String {
        ids::id(prefix, self.ground.clock.now(), &*self.ground.rng)
    }

    /// Random bytes.
    #[must_use]
    pub fn random<const N: usize>(&self) -> [u8; N] {
        ids::random(&*self.ground.rng)
    }

    /// The id of this deployment, as audit leaves carry it.
    #[must_use]
    pub fn deployment_id(&self) -> &str {
        self.ground.deployment.get().map_or("", String::as_str)
    }

    fn writable(&self) -> Result<(), Error> {
        match self.inner {
            Inner::SqliteWrite(_) | Inner::PostgresWrite(_) => Ok(()),
            Inner::SqliteRead(_) | Inner::PostgresRead(_) => Err(Error::ReadOnly),
        }
    }

    fn note(&mut self, error: sqlx::Error) -> Error {
        let error = Error::Database(error);
        self.transient_failure |= error.is_transient();
        error
    }

    /// Runs a statement that changes rows; answers how many.
    ///
    /// # Errors
    /// The database's, or [`Error::ReadOnly`].
    pub async fn execute(&mut self, sql: &'static str, args: Vec<Value>) -> Result<u64, Error> {
        self.writable()?;
        self.writes += 1;
        let done = on!(&mut self.inner, connection, Wrap =>
            bind!(sql, args).execute(connection).await.map(|done| done.rows_affected()));
        done.map_err(|error| self.note(error))
    }

    /// All rows of a query. Give every one a limit.
    ///
    /// # Errors
    /// The database's.
    pub async fn all(&mut self, sql: &'static str, args: Vec<Value>) -> Result<Vec<Row>, Error> {
        let rows = on!(&mut self.inner, connection, Wrap =>
            bind!(sql, args).fetch_all(connection).await.map(|rows| rows.into_iter().map(Wrap).collect()));
        rows.map_err(|error| self.note(error))
    }

    /// The row, if there is one.
    ///
    /// # Errors
    /// The database's.
    pub async fn optional(
        &mut self,
        sql: &'static str,
        args: Vec<Value>,
    ) -> Result<Option<Row>, Error> {
        let row = on!(&mut self.inner, connection, Wrap =>
            bind!(sql, args).fetch_optional(connection).await.map(|row| row.map(Wrap)));
        row.map_err(|error| self.note(error))
    }

    /// A change with `returning`: the changed row, if the condition held. This
    /// is how races are settled: `update … where state = … returning`.
    ///
    /// # Errors
    /// The database's, or [`Error::ReadOnly`].
    pub async fn swap(
        &mut self,
        sql: &'static str,
        args: Vec<Value>,
    ) -> Result<Option<Row>, Error> {
        self.writable()?;
        self.writes += 1;
        self.optional(sql, args).await
    }

    /// As [`Tx::swap`], for any number of rows.
    ///
    /// # Errors
    /// The database's, or [`Error::ReadOnly`].
    pub async fn swap_all(
        &mut self,
        sql: &'static str,
        args: Vec<Value>,
    ) -> Result<Vec<Row>, Error> {
        self.writable()?;
        self.writes += 1;
        self.all(sql, args).await
    }

    /// Adds an event to this write (the audit room makes it).
    pub fn push_event(&mut self, event: EventRow) {
        self.events.push(event);
    }

    /// A row known by heart, where that is as good as reading it: on SQLite,
    /// whose only writer tells of every change before anything else is done,
    /// and unless this very write, or one that it shares its commit with, has
    /// changed it. `None` says: read it.
    pub fn by_heart<V: Clone + Send + Sync + 'static>(
        &self,
        known: &Known<V>,
        id: &str,
    ) -> Option<V> {
        match self.inner {
            Inner::SqliteWrite(_) | Inner::SqliteRead(_) => {}
            Inner::PostgresWrite(_) | Inner::PostgresRead(_) => return None,
        }
        if self.has_changed(known.topic(), Some(id)) {
            return None;
        }
        known.get(id)
    }

    /// Keeps by heart a row that was read here after `ticket` was taken, unless
    /// it may never be committed as it was read.
    pub fn learn<V: Clone + Send + Sync + 'static>(
        &self,
        known: &Known<V>,
        ticket: Ticket,
        id: &str,
        row: V,
    ) {
        if !self.has_changed(known.topic(), None) {
            known.keep(ticket, id, row);
        }
    }

    fn has_changed(&self, topic: &str, id: Option<&str>) -> bool {
        self.signals
            .iter()
            .any(|signal| signal.topic == topic && id.is_none_or(|id| signal.id == id))
    }

    /// Wakes pages and waiters once this write is committed.
    pub fn signal(&mut self, person: Option<&str>, topic: &str, id: &str) {
        self.signals.push(Signal {
            person: person.map(str::to_owned),
            topic: topic.to_owned(),
            id: id.to_owned(),
        });
    }

    pub(super) fn mark(&self) -> Mark {
        Mark {
            events: self.events.len(),
            signals: self.signals.len(),
            writes: self.writes,
        }
    }

    /// Forgets what was pushed since; says whether rows were changed too.
    pub(super) fn back_to(&mut self, mark: Mark) -> bool {
        self.events.truncate(mark.events);
        self.signals.truncate(mark.signals);
        self.writes != mark.writes
    }

    async fn write_events(&mut self) -> Result<(), Error> {
        let events = std::mem::take(&mut self.events);
        let mut rest = &events[..];
        // In powers of two, so that the few texts there are stay prepared.
        while !rest.is_empty() {
            let some;
            (some, rest) = rest.split_at(MOST_ROWS.min(1 << rest.len().ilog2()));
            on!(&mut self.inner, connection, Wrap => {
                let mut insert = QueryBuilder::new(
                    "insert into events (id, at, kind, person_id, client_id, account_id, approval_id, run_id, leaf, leaf_hash) ",
                );
                insert.push_values(some, |mut row, event| {
                    row.push_bind(&event.id)
                        .push_bind(event.at)
                        .push_bind(&event.kind)
                        .push_bind(&event.person_id)
                        .push_bind(&event.client_id)
                        .push_bind(&event.account_id)
                        .push_bind(&event.approval_id)
                        .push_bind(&event.run_id)
                        .push_bind(&event.leaf)
                        .push_bind(event.leaf_hash.to_vec());
                });
                insert.build().execute(&mut *connection).await?;
                let openings: Vec<_> = some
                    .iter()
                    .flat_map(|event| event.openings.iter().map(|(field, salt, value)| (&event.id, field, salt, value)))
                    .collect();
                if !openings.is_empty() {
                    let mut insert = QueryBuilder::new("insert into event_openings (event_id, field, salt, value) ");
                    insert.push_values(openings, |mut row, (id, field, salt, value)| {
                        row.push_bind(id).push_bind(field).push_bind(salt.to_vec()).push_bind(value);
                    });
                    insert.build().execute(&mut *connection).await?;
                }
            });
        }
        Ok(())
    }

    /// Writes the events and commits. Answers the signals to send.
    pub(super) async fn commit(mut self) -> Result<Vec<Signal>, Error> {
        self.write_events().await?;
        let signals = std::mem::take(&mut self.signals);
        match self.inner {
            Inner::SqliteWrite(tx) => tx.commit().await?,
            Inner::PostgresWrite(mut tx) => {
                if !signals.is_empty() {
                    let payloads: Vec<String> = signals
                        .iter()
                        .filter_map(|signal| serde_json::to_string(signal).ok())
                        .collect();
                    sqlx::query("select pg_notify($1, note) from unnest($2::text[]) as note")
                        .bind(CHANNEL)
                        .bind(payloads)
                        .execute(&mut *tx)
                        .await?;
                }
                tx.commit().await?;
            }
            Inner::SqliteRead(_) | Inner::PostgresRead(_) => return Err(Error::ReadOnly),
        }
        Ok(signals)
    }

    pub(super) async fn rollback(self) {
        // Dropping a transaction rolls it back too; asking shows errors at the right place.
        let done = match self.inner {
            Inner::SqliteWrite(tx) => tx.rollback().await,
            Inner::PostgresWrite(tx) => tx.rollback().await,
            Inner::SqliteRead(_) | Inner::PostgresRead(_) => Ok(()),
        };
        if let Err(error) = done {
            tracing::warn!(%error, "a write could not be rolled back in words; the connection is dropped");
        }
    }
}
