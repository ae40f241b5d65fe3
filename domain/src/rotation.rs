//! The key-encryption key gives way to another while everything goes on.
//!
//! The configuration names the new key and the old one. From the write that
//! begins a rotation the new one wraps; then every wrapped key is unwrapped and
//! wrapped anew, some at a time, by compare-and-swap. Both keys open all the
//! while, so nobody waits and nothing is refused. Killed, it goes on where it
//! was: what is left is what another key wrapped. The old key may go from the
//! configuration when the database says that it wraps nothing any more.
//!
//! No secret is sealed anew: only the keys that sealed them are.

use futures::{StreamExt as _, TryStreamExt as _};
use std::sync::Arc;

use crate::Engine;
use crate::audit::{Event, Kind};
use crate::keyring::{self, Begin, Keyring};
use crate::storage::{self, Store};

/// How many rows share a write.
const BATCH: i64 = 100;
/// How many keys a key provider is asked for at a time.
const AT_ONCE: usize = 8;
/// How many rows that do not open are named.
const NAMED: usize = 20;

/// A table with wrapped keys: the room that owns it says how its rows are found.
pub(crate) struct WrappedRows {
    pub table: &'static str,
    /// The next id of a key-encryption key after `$1`.
    pub next: &'static str,
    /// Rows that `$1` wrapped, after `$2`, at most `$3`.
    pub list: &'static str,
    /// Row `$1`: `$2` becomes `$3`, wrapped by `$4`.
    pub swap: &'static str,
    /// Row `$1` holds no key any more: its id goes from `$2` to `$3`.
    pub name: &'static str,
    /// What the key of a row is wrapped for.
    pub place: fn(&str) -> Vec<u8>,
}

/// The SQL of [`WrappedRows`] for a table, its primary key and its column.
macro_rules! wrapped_rows {
    ($table:literal, $id:literal, $key:literal, $place:expr) => {
        $crate::rotation::WrappedRows {
            table: $table,
            next: concat!(
                "select kek_id from ",
                $table,
                " where kek_id > $1 order by kek_id limit 1"
            ),
            list: concat!(
                "select ",
                $id,
                " as id, ",
                $key,
                " as wrapped from ",
                $table,
                " where kek_id = $1 and ",
                $id,
                " > $2 order by ",
                $id,
                " limit $3"
            ),
            swap: concat!(
                "update ",
                $table,
                " set ",
                $key,
                " = $3, kek_id = $4 where ",
                $id,
                " = $1 and ",
                $key,
                " = $2"
            ),
            name: concat!(
                "update ",
                $table,
                " set kek_id = $3 where ",
                $id,
                " = $1 and kek_id = $2 and (",
                $key,
                " is null or length(",
                $key,
                ") = 0)"
            ),
            place: $place,
        }
    };
}
pub(crate) use wrapped_rows;

fn tables() -> [&'static WrappedRows; 7] {
    let [connections, accounts, revocations] = &crate::vault::WRAPPED;
    [
        &keyring::WRAPPED,
        connections,
        accounts,
        revocations,
        &crate::oauth::notify::WRAPPED,
        &crate::agent::WRAPPED,
        &crate::approval::push::WRAPPED,
    ]
}

/// Why a rotation did not end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another one has to end first.
    #[error(
        "the rotation to {0} is not done: name that key first in the configuration until it is"
    )]
    Other(String),
    /// The keys.
    #[error(transparent)]
    Keys(#[from] keyring::Error),
    /// The database.
    #[error(transparent)]
    Storage(#[from] storage::Error),
}

/// What a rotation did.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Report {
    /// The key that wraps now.
    pub key: String,
    /// How many keys were wrapped anew.
    pub wrapped: u64,
    /// How many do not open, whatever key is tried: changed, or another row's.
    pub broken: u64,
    /// The first of them, as table and id.
    pub named: Vec<String>,
}

/// One rotation at a time in a process.
pub type Turn = tokio::sync::Mutex<()>;

/// Wraps everything with the key that the configuration names first, however
/// long it takes. May be called again at any time, and goes on then.
///
/// # Errors
/// See [`Error`]; what is wrapped anew by then stays so.
pub async fn rotate(engine: &Engine, by: &str) -> Result<Report, Error> {
    let _turn = engine.rotation.lock().await;
    let wanted = engine.keys.keks().wanted();
    let (next, by) = (wanted.clone(), by.to_owned());
    let begin = engine
        .store
        .write(move |tx| {
            let (next, by) = (next.clone(), by.clone());
            Box::pin(async move {
                let begin = tx.begin_rotation(&next).await?;
                if let Begin::Begun(old) = &begin {
                    tx.record(
                        Event::new(Kind::KeysChanged)
                            .data("vault_key", next)
                            .data("from", old.as_str())
                            .data("state", "begun")
                            .data("by", by),
                    );
                }
                Ok::<_, storage::Error>(begin)
            })
        })
        .await?;
    if let Begin::Other(other) = begin {
        return Err(Error::Other(other));
    }
    engine.keys.keks().wrap_with(&wanted)?;
    let mut all = sweep(engine).await?;
    // Whoever wrapped with the old key just before that write may have stored it only now.
    while all.broken == 0 && is_left(engine).await? {
        all.wrapped += sweep(engine).await?.wrapped;
    }
    Ok(all)
}

/// Whether another key still wraps something.
async fn is_left(engine: &Engine) -> Result<bool, Error> {
    let key = engine.keys.keks().wraps();
    for rows in tables() {
        let keys = keys_of(&engine.store, rows).await?;
        if keys.iter().any(|id| *id != key) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Goes on with a rotation that was begun before a restart or elsewhere, and
/// wraps anew what was wrapped meanwhile by somebody who had not heard of it.
/// Called every minute.
///
/// # Errors
/// See [`Error`].
pub async fn upkeep(engine: &Engine) -> Result<(), Error> {
    let Ok(_turn) = engine.rotation.try_lock() else {
        return Ok(());
    };
    let report = sweep(engine).await?;
    if report.broken > 0 {
        tracing::error!(count = report.broken, rows = ?report.named, "wrapped keys do not open: they were changed, or are another row's");
    }
    Ok(())
}

async fn sweep(engine: &Engine) -> Result<Report, Error> {
    let mut report = Report {
        key: engine.keys.keks().wraps(),
        ..Report::default()
    };
    for rows in tables() {
        for other in keys_of(&engine.store, rows).await? {
            if other != report.key {
                wrap_anew(engine, rows, &other, &mut report).await?;
            }
        }
    }
    if report.broken == 0 {
        end(engine, &report).await?;
    }
    Ok(report)
}

/// Which keys wrapped something in a table: a look into the index for each.
async fn keys_of(store: &Store, rows: &WrappedRows) -> Result<Vec<String>, storage::Error> {
    let mut rx = store.reader().await?;
    let mut found: Vec<String> = Vec::new();
    loop {
        let last = found.last().map_or("", String::as_str);
        match rx.optional(rows.next, vec![last.into()]).await? {
            Some(row) => found.push(row.get("kek_id")?),
            None => return Ok(found),
        }
    }
}

/// Refuses a database of which some keys were wrapped by a key that nobody gave.
pub(crate) async fn check(store: &Store, keys: &Keyring) -> Result<(), keyring::Error> {
    for rows in tables() {
        for id in keys_of(store, rows).await? {
            if !keys.keks().knows(&id) {
                return Err(keyring::Error::Unavailable(format!(
                    "{} has rows of the key-encryption key {id}, which the configuration does not give",
                    rows.table
                )));
            }
        }
    }
    Ok(())
}

/// A wrapped key as it lies there, and as it shall.
struct Anew {
    id: String,
    old: Vec<u8>,
    new: Vec<u8>,
}

async fn wrap_anew(
    engine: &Engine,
    rows: &'static WrappedRows,
    other: &str,
    report: &mut Report,
) -> Result<(), Error> {
    let mut after = String::new();
    loop {
        let args = vec![other.into(), (&after).into(), BATCH.into()];
        let found = engine.store.reader().await?.all(rows.list, args).await?;
        let mut batch: Vec<(String, Option<Vec<u8>>)> = Vec::new();
        for row in &found {
            batch.push((row.get("id")?, row.get("wrapped")?));
        }
        let Some((last, _)) = batch.last() else {
            return Ok(());
        };
        after.clone_from(last);
        let key = report.key.clone();
        let (empty, full): (Vec<_>, Vec<_>) = batch
            .into_iter()
            .map(|(id, old)| (id, old.unwrap_or_default()))
            .partition(|(_, old)| old.is_empty());
        let made: Vec<Result<Anew, String>> = futures::stream::iter(full)
            .map(|(id, old)| anew(engine, rows, id, old, &key))
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        let (mut good, mut broken) = (Vec::new(), Vec::new());
        for one in made {
            match one {
                Ok(one) => good.push(one),
                Err(id) => broken.push(id),
            }
        }
        report.wrapped += put(engine, rows, other, &key, good, empty).await?;
        report.broken += broken.len() as u64;
        for id in broken {
            if report.named.len() < NAMED {
                report.named.push(format!("{} {id}", rows.table));
            }
        }
    }
}

/// Wraps one key anew; its row's id where it does not open.
async fn anew(
    engine: &Engine,
    rows: &WrappedRows,
    id: String,
    old: Vec<u8>,
    key: &str,
) -> Result<Result<Anew, String>, Error> {
    let place = (rows.place)(&id);
    let plain = match engine.keys.keks().unwrap(&old, &place).await {
        Ok(plain) => plain,
        Err(keyring::Error::DoesNotOpen) => return Ok(Err(id)),
        Err(error) => return Err(error.into()),
    };
    let (new, by) = engine.keys.keks().wrap(plain.expose(), &place).await?;
    if by != key {
        // Another rotation began elsewhere; the next sweep follows it.
        return Err(Error::Other(by));
    }
    Ok(Ok(Anew { id, old, new }))
}

/// One write for a batch. A row that changed meanwhile is left for the next sweep.
async fn put(
    engine: &Engine,
    rows: &'static WrappedRows,
    other: &str,
    key: &str,
    good: Vec<Anew>,
    empty: Vec<(String, Vec<u8>)>,
) -> Result<u64, Error> {
    let good = Arc::new(good);
    let empty: Arc<Vec<String>> = Arc::new(empty.into_iter().map(|(id, _)| id).collect());
    let (other, key) = (other.to_owned(), key.to_owned());
    let wrapped = engine
        .store
        .write(move |tx| {
            let (good, empty) = (good.clone(), empty.clone());
            let (other, key) = (other.clone(), key.clone());
            Box::pin(async move {
                let mut wrapped = 0;
                for one in good.iter() {
                    let args = vec![
                        (&one.id).into(),
                        (&one.old).into(),
                        (&one.new).into(),
                        (&key).into(),
                    ];
                    wrapped += tx.execute(rows.swap, args).await?;
                }
                for id in empty.iter() {
                    let args = vec![id.into(), (&other).into(), (&key).into()];
                    tx.execute(rows.name, args).await?;
                }
                Ok::<_, storage::Error>(wrapped)
            })
        })
        .await?;
    Ok(wrapped)
}

/// Everything was looked at, and all of it opens.
async fn end(engine: &Engine, report: &Report) -> Result<(), Error> {
    if is_left(engine).await? {
        return Ok(());
    }
    let key = report.key.clone();
    engine
        .store
        .write(move |tx| {
            let key = key.clone();
            Box::pin(async move {
                if tx.end_rotation(&key).await? {
                    tx.record(
                        Event::new(Kind::KeysChanged)
                            .data("vault_key", key)
                            .data("state", "done"),
                    );
                }
                Ok::<_, storage::Error>(())
            })
        })
        .await?;
    Ok(())
}
