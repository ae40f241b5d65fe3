//! Recording, numbering, listing, erasing.

use std::collections::HashSet;
use std::time::Duration;

use futures::future::join_all;

use super::super::{
    Error, Event, Filter, Kind, erase, list, list_for_person, sequencer, tree, verify,
};
use super::{number_all, record, tamper, twelve};
use crate::storage;
use crate::testing::Bench;

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_writes_at_once_all_get_a_place() {
    let bench = Bench::new().await;
    join_all((0..200).map(|note| record(&bench, "per_1", note))).await;
    assert_eq!(tree(&bench).await.unwrap().waiting, 200);
    number_all(&bench).await;
    let events = list(&bench, &Filter::default(), 200).await.unwrap();
    let places: HashSet<_> = events.iter().filter_map(|event| event.index).collect();
    assert_eq!(places, (0..200).collect());
    let report = verify(&bench, None).await.unwrap();
    assert!(report.is_sound(), "{report}");
    assert_eq!((report.entries, report.unsequenced), (200, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn racing_sequencers_give_one_order_and_no_gap() {
    let bench = Bench::new().await;
    let engine = bench.engine.clone();
    let numbering: Vec<_> = (0..4)
        .map(|_| {
            let engine = engine.clone();
            tokio::spawn(async move {
                let mut numbered = 0;
                while numbered == 0 || tree(&engine).await.unwrap().size < 300 {
                    numbered += sequencer::run_once(&engine).await.unwrap();
                    if tree(&engine).await.unwrap().size == 300 {
                        break;
                    }
                }
                numbered
            })
        })
        .collect();
    join_all((0..300).map(|note| record(&bench, "per_1", note))).await;
    let numbered: usize = join_all(numbering)
        .await
        .into_iter()
        .map(Result::unwrap)
        .sum();
    assert_eq!(numbered, 300);
    let report = verify(&bench, None).await.unwrap();
    assert!(report.is_sound(), "{report}");
    assert_eq!(report.entries, 300);
}

#[tokio::test]
async fn more_than_a_batch_is_numbered_in_several() {
    let bench = Bench::new().await;
    let written: Result<(), storage::Error> = bench
        .store
        .write(|tx| {
            Box::pin(async move {
                for note in 0..1001 {
                    tx.record(Event::new(Kind::CallMade).data("note", note));
                }
                Ok(())
            })
        })
        .await;
    written.unwrap();
    assert_eq!(number_all(&bench).await, 2);
    let report = verify(&bench, None).await.unwrap();
    assert!(report.is_sound(), "{report}");
    assert_eq!((report.entries, report.checkpoints), (1001, 2));
}

#[tokio::test]
async fn an_event_of_a_refused_verb_is_never_recorded() {
    let bench = Bench::new().await;
    let refused: Result<(), Error> = bench
        .store
        .write(|tx| {
            Box::pin(async move {
                tx.record(Event::new(Kind::CallMade));
                Err(Error::Damaged("a refusal"))
            })
        })
        .await;
    assert!(refused.is_err());
    assert!(
        list(&bench, &Filter::default(), 10)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(number_all(&bench).await, 0);
    assert_eq!(tree(&bench).await.unwrap().size, 0);
}

#[tokio::test]
async fn an_empty_log_is_sound_and_signs_nothing() {
    let bench = Bench::new().await;
    assert_eq!(sequencer::run_once(&bench).await.unwrap(), 0);
    assert_eq!(tree(&bench).await.unwrap().checkpoint, None);
    let report = verify(&bench, None).await.unwrap();
    assert!(report.is_sound(), "{report}");
}

#[tokio::test]
async fn the_sequencer_wakes_on_an_event_and_finishes_at_shutdown() {
    let bench = Bench::new().await;
    let engine = bench.engine.clone();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(async move {
        sequencer::run(&engine, async {
            let _ = stopped.await;
        })
        .await;
    });
    let mut signals = bench.store.signals();
    record(&bench, "per_1", 1).await;
    let signed = async { while signals.recv().await.unwrap().topic != "checkpoint" {} };
    let winding = async {
        loop {
            bench.advance(Duration::from_millis(50));
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = signed => {}
        () = winding => {}
    }
    assert_eq!(tree(&bench).await.unwrap().size, 1);
    record(&bench, "per_1", 2).await;
    stop.send(()).unwrap();
    running.await.unwrap();
    assert_eq!(tree(&bench).await.unwrap().size, 2);
}

#[tokio::test]
async fn the_list_is_newest_first_and_goes_on_where_the_page_ended() {
    let bench = twelve().await;
    let mut filter = Filter::default();
    let mut places = Vec::new();
    loop {
        let page = list(&bench, &filter, 5).await.unwrap();
        assert!(page.len() <= 5);
        let Some(last) = page.last() else { break };
        filter.before = Some(last.cursor().to_string().parse().unwrap());
        places.extend(page.iter().filter_map(|event| event.index));
    }
    assert_eq!(places, (0..12).rev().collect::<Vec<_>>());
}

#[tokio::test]
async fn the_list_holds_what_the_leaf_says_and_what_it_commits_to() {
    let bench = twelve().await;
    let page = list(&bench, &Filter::default(), 1).await.unwrap();
    assert_eq!(page[0].kind, Kind::SignedIn.word());
    assert_eq!(page[0].data["note"], 11);
    assert_eq!(page[0].private["address"], "192.0.2.11");
    assert_eq!(page[0].client_id.as_deref(), Some("cli_1"));
}

#[tokio::test]
async fn every_filter_narrows_the_list() {
    let bench = twelve().await;
    record(&bench, "per_2", 12).await;
    let start = crate::testing::START;
    let with = |change: fn(&mut Filter)| {
        let mut filter = Filter::default();
        change(&mut filter);
        filter
    };
    let person = |filter: &mut Filter| filter.person = Some("per_2".to_owned());
    let client = |filter: &mut Filter| filter.client = Some("cli_1".to_owned());
    let nobody = |filter: &mut Filter| filter.client = Some("cli_2".to_owned());
    let kind = |filter: &mut Filter| filter.kind = Some(Kind::SignedIn.word().to_owned());
    let other = |filter: &mut Filter| {
        filter.person = Some("per_2".to_owned());
        filter.kind = Some(Kind::CallMade.word().to_owned());
    };
    for (filter, count) in [
        (with(person), 1),
        (with(client), 13),
        (with(nobody), 0),
        (with(kind), 13),
        (with(other), 0),
        (
            Filter {
                since: Some(start + 100),
                ..Filter::default()
            },
            3,
        ),
        (
            Filter {
                until: Some(start + 20),
                ..Filter::default()
            },
            2,
        ),
    ] {
        let found = list(&bench, &filter, 200).await.unwrap();
        assert_eq!(found.len(), count, "{filter:?}");
    }
}

#[tokio::test]
async fn a_person_sees_their_own_events_whatever_they_ask_for() {
    let bench = twelve().await;
    record(&bench, "per_2", 12).await;
    let asked = Filter {
        person: Some("per_1".to_owned()),
        ..Filter::default()
    };
    let seen = list_for_person(&bench, "per_2", &asked, 200).await.unwrap();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].person_id.as_deref(), Some("per_2"));
}

#[tokio::test]
async fn a_row_that_is_no_leaf_is_refused_by_name() {
    let bench = twelve().await;
    let sql = "update events set leaf = $1 where leaf_index = 3";
    tamper(&bench, sql, vec![b"nothing".to_vec().into()]).await;
    let refused = list(&bench, &Filter::default(), 200).await.unwrap_err();
    assert!(
        refused.to_string().starts_with("events.leaf of row evt_"),
        "{refused}"
    );
}

#[tokio::test]
async fn erased_personal_data_leaves_the_tree_valid() {
    let bench = twelve().await;
    record(&bench, "per_2", 12).await;
    let before = tree(&bench).await.unwrap();
    assert_eq!(erase(&bench, "per_1").await.unwrap(), 12);
    number_all(&bench).await;
    let report = verify(&bench, before.checkpoint.as_deref()).await.unwrap();
    assert!(report.is_sound(), "{report}");
    assert_eq!(
        (report.entries, report.erased, report.openings),
        (14, 12, 1)
    );
    let events = list(&bench, &Filter::default(), 200).await.unwrap();
    let told: Vec<_> = events
        .iter()
        .filter(|event| !event.private.is_empty())
        .collect();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].person_id.as_deref(), Some("per_2"));
    assert_eq!(events[0].kind, Kind::PersonalDataErased.word());
}
