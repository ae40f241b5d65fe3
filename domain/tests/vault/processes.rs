//! Real processes on one database, under load, against a provider that rotates
//! strictly: killed with `kill -9`, stopped for longer than a lease, and cut off
//! from their database at random moments. What is lost is exactly what was lost
//! in flight.
//!
//! Time goes ten times as fast, for clocks and time-outs alike. A minute is run;
//! `ATTORN_TEST_CRASH_SECONDS=600` runs ten.

use std::collections::{BTreeMap, BTreeSet};

use domain::clock::{Clock as _, SystemClock};
use domain::storage::Location;
use domain::testing::database;
use domain::vault::{connections, journal};
use sandbox::{Control, Fault, Provider, Target, Times};

use crate::instances::{
    Fast, Instance, LIFETIME_S, SPEED, STOPPED_MS, Shared, dice, is_alive, issued_to, link, number,
    on_disk, provider, start,
};
use crate::outage::Outages;
use crate::stage::new_connection;

/// Refresh tokens that were presented more than once.
fn presented_again(control: &Control) -> BTreeSet<String> {
    let mut once = BTreeSet::new();
    control
        .requests(Provider::Google)
        .iter()
        .filter(|request| request.grant_type.as_deref() == Some("refresh_token"))
        .filter_map(|request| request.field("refresh_token"))
        .filter(|token| !once.insert(token.clone()))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_are_killed_stopped_and_cut_off_lose_only_what_was_in_flight() {
    let seconds: u64 = std::env::var("ATTORN_TEST_CRASH_SECONDS")
        .map_or(60, |text| text.parse().expect("a number of seconds"));
    let clock = Fast::since(SystemClock::new().now());
    let people: Vec<String> = (0..(seconds / 2).clamp(20, 200))
        .map(|number| format!("p{number}@example.com"))
        .collect();
    let sandbox = provider(&clock, &people).await;
    let control = sandbox.control();
    control.set_lifetime(Provider::Google, LIFETIME_S);

    let folder = tempfile::tempdir().unwrap();
    let shared = Shared {
        location: database(folder.path()).await,
        journal: folder.path().join("answers"),
    };
    let setting_up = start(&shared, &clock, "setting-up").await.unwrap();
    let base = format!("{}/google", sandbox.url());
    connections::put(&setting_up, new_connection(Provider::Google, &base))
        .await
        .unwrap();
    let mut accounts = BTreeMap::new();
    for email in &people {
        accounts.insert(email.clone(), link(&setting_up, email).await);
    }
    setting_up.store.close().await;
    drop(setting_up);

    // Answers take their time, so that something is always in flight.
    let slow = Fault::SlowAnswer { ms: 60 };
    control.set_fault_on(Provider::Google, Target::Refresh, slow, Times::Always);
    let is_shared = matches!(shared.location, Location::Postgres(_));
    let ids: Vec<&str> = accounts.values().map(String::as_str).collect();
    let outages = Outages::new(&shared.location).await;
    let theirs = Shared {
        location: outages.location(),
        ..shared.clone()
    };
    let instance = || Instance::start(&theirs, &clock, &ids.join(","));
    // A SQLite file has one owner.
    let many = if is_shared { 3 } else { 1 };
    let mut instances: Vec<Instance> = (0..many).map(|_| instance()).collect();
    let (mut kills, mut stops, mut cuts, mut journalled) = (0, 0, 0, 0);
    let until = clock.real.now() + i64::try_from(seconds).unwrap() * 1000;
    clock.pause(2_000).await;
    while clock.real.now() < until {
        let which = usize::try_from(dice(instances.len() as u64)).unwrap();
        let outage = dice(4) == 0;
        if outage {
            outages.begin().await;
            clock.pause(500 + dice(4_000)).await;
            cuts += 1;
        }
        // Half of the outages are outlived.
        if outage && dice(2) == 0 {
        } else if is_shared && dice(3) == 0 {
            instances[which].signal("STOP");
            clock.pause(STOPPED_MS + dice(2_000)).await;
            instances[which].signal("CONT");
            stops += 1;
        } else {
            // One after the other: both may not have the file.
            drop(instances.remove(which));
            instances.push(instance());
            kills += 1;
        }
        if outage {
            journalled += on_disk(&shared.journal);
            clock.pause(dice(1_000)).await;
            outages.end().await;
        }
        // Alone, a process has to live for long enough to take over from the one before.
        let alive = if is_shared { 300 } else { STOPPED_MS };
        clock.pause(alive + dice(1_000)).await;
    }
    instances.clear();
    control.clear();
    // Whatever was released has run out: everything has to be asked for again.
    clock
        .pause(u64::try_from(LIFETIME_S * 1000 / SPEED).unwrap() + 500)
        .await;

    let engine = start(&shared, &clock, "judge").await.unwrap();
    let replayed = journal::replay(&engine).await.unwrap();
    let again = presented_again(&control);
    let judged = accounts.iter().map(|(email, account)| {
        let (engine, clock) = (&engine, &clock);
        async move { (email, account, is_alive(engine, clock, account).await) }
    });
    let mut lost = BTreeSet::new();
    let (mut in_flight, mut late, mut answers) = (0, 0, 0);
    let issued = control.issued_tokens();
    for (email, account, alive) in futures::future::join_all(judged).await {
        let issued = issued_to(&control, email);
        let stored = number(
            &engine,
            "select epoch as n from provider_grants where account_id = $1",
            account,
        )
        .await;
        answers += stored - 1;
        let missing = issued - stored;
        if alive {
            assert_eq!(
                missing, 0,
                "{email} lives, with an answer that nobody stored"
            );
            continue;
        }
        lost.insert(email.clone());
        // Stored only after somebody else had written down to ask again: its
        // holder was stopped for longer than anybody waits.
        let stored_late = number(
            &engine,
            "select count(*) as n from refresh_candidates c join refresh_intents i on i.account_id = c.account_id \
             and i.parent_hash = c.parent_hash and i.holder <> c.holder and i.started_at <= c.created_at \
             where c.account_id = $1",
            account,
        )
        .await;
        // Sent late: its holder was stopped between looking at the clock and
        // sending, and somebody else had waited, asked and stored by then.
        let sent_late = number(
            &engine,
            "select count(*) as n from refresh_intents i join refresh_intents j on j.account_id = i.account_id \
             and j.parent_hash = i.parent_hash and j.holder <> i.holder and j.started_at >= i.started_at + 30000 \
             where i.account_id = $1 and i.outcome = 'unknown' and j.outcome = 'stored'",
            account,
        )
        .await;
        if missing == 1 {
            in_flight += 1;
        } else {
            assert!(
                missing == 0 && stops > 0 && stored_late + sent_late > 0,
                "{email}: {missing} {stored_late} {sent_late}"
            );
            late += 1;
        }
    }
    // A refresh token is presented again only where its answer was lost.
    for one in issued {
        if again.contains(&one.token) {
            assert!(
                lost.contains(&one.email),
                "{} was asked for twice",
                one.email
            );
        }
    }
    eprintln!(
        "{} grants, {answers} refreshes, {kills} kills, {stops} stops, {cuts} outages in which {journalled} answers \
         lay on disk ({replayed} at the end): {} lost, {in_flight} of them in flight to a process that died, {late} \
         to one that was stopped for too long",
        accounts.len(),
        lost.len(),
    );
    assert_eq!(on_disk(&shared.journal), 0, "an answer was left on disk");
    assert!(kills > 0 && cuts > 0 && (stops > 0 || !is_shared));
    let expected = i64::try_from(seconds).unwrap();
    assert!(answers > expected, "there was hardly any load: {answers}");
    engine.store.close().await;
}
