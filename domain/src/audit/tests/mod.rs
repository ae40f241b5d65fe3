//! The room as a whole: from a verb's event to a verified proof.

mod damage;
mod life;
mod proofs;

use super::{Event, Kind, sequencer};
use crate::storage::{self, Value};
use crate::testing::Bench;

/// Writes an event of somebody, in a write of its own.
async fn record(bench: &Bench, person: &str, note: usize) {
    let person = person.to_owned();
    let written: Result<(), storage::Error> = bench
        .store
        .write(move |tx| {
            let event = Event::new(Kind::SignedIn)
                .person(&person)
                .client("cli_1")
                .data("note", note)
                .private("address", format!("192.0.2.{note}"));
            Box::pin(async move {
                tx.record(event);
                Ok(())
            })
        })
        .await;
    written.unwrap();
}

/// Numbers all there is; answers in how many batches.
async fn number_all(bench: &Bench) -> usize {
    let mut batches = 0;
    while sequencer::run_once(bench).await.unwrap() > 0 {
        batches += 1;
    }
    batches
}

/// Twelve entries, signed after the fifth and the last.
async fn twelve() -> Bench {
    let bench = Bench::new().await;
    for note in 0..12 {
        if note == 5 {
            number_all(&bench).await;
        }
        record(&bench, "per_1", note).await;
        bench.advance(std::time::Duration::from_millis(10));
    }
    number_all(&bench).await;
    bench
}

/// Changes rows as somebody with the database's password could.
async fn tamper(bench: &Bench, sql: &'static str, args: Vec<Value>) {
    let changed: Result<u64, storage::Error> = bench
        .store
        .write(move |tx| {
            let args = args.clone();
            Box::pin(async move { tx.execute(sql, args).await })
        })
        .await;
    assert!(changed.unwrap() > 0, "{sql} changed nothing");
}

/// The bytes of the leaf at this place.
async fn leaf_at(bench: &Bench, index: i64) -> Vec<u8> {
    let sql = "select leaf from events where leaf_index = $1";
    let mut reader = bench.store.reader().await.unwrap();
    let row = reader.optional(sql, vec![index.into()]).await.unwrap();
    row.unwrap().get("leaf").unwrap()
}
