//! `kill -9` in the middle of linking, refreshing, approving: a restart on the
//! same data folder loses nothing that was answered. What happens at the
//! provider is held at its gates, so every kill comes at a known point.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use domain::approval::{self, CallState};
use domain::clock::ManualClock;
use domain::ids::SystemRng;
use domain::keyring::FileKey;
use domain::outbound::{GuardedOutbound, HttpOutbound};
use domain::storage::Location;
use domain::{Engine, Parts, Settings, identity};
use sandbox::{Gate, Provider, Rotation, Target};

use crate::house::{Answer, GOOGLE, SLACK, read};
use crate::process::{EMAIL, Process};

const DETAILS: &str = r#"[{"type":"slack_message","connection":"sign-in-with-slack","channel":"general","text":"release 2.1 is out"}]"#;
const BODY: &str = r#"{"channel":"general","text":"release 2.1 is out"}"#;

/// Asks Ada; the request's id at the agent and its page.
pub async fn ask(process: &Process) -> (String, String) {
    let fields = [
        ("scope", "openid"),
        ("login_hint", EMAIL),
        ("authorization_details", DETAILS),
    ];
    let asked = process.post("/bc-authorize", &fields).await;
    assert_eq!(asked.status, 200, "{}", asked.body);
    let pages = process.get("/approvals").await.body;
    let (_, page) = pages
        .split_once("href=\"/approve/")
        .unwrap_or_else(|| panic!("it is not shown: {pages}"));
    let id: String = page
        .chars()
        .take_while(|letter| letter.is_ascii_alphanumeric() || "_-".contains(*letter))
        .collect();
    let page = format!("/approve/{id}");
    (asked.text("auth_req_id"), page)
}

pub async fn redeem(process: &Process, id: &str) -> Answer {
    let fields = [
        ("grant_type", "urn:openid:params:grant-type:ciba"),
        ("auth_req_id", id),
    ];
    process.post("/oauth/token", &fields).await
}

pub fn calling(process: &Process, token: &str) -> reqwest::RequestBuilder {
    process
        .posting("/proxy/sign-in-with-slack/chat.postMessage")
        .header("content-type", "application/json; charset=utf-8")
        .bearer_auth(token)
        .body(BODY)
}

/// Sends a request, kills the program while the provider's answer is held, and
/// lets the provider go on.
async fn kill_at(gate: Gate, process: &mut Process, request: reqwest::RequestBuilder) {
    let mut coming = tokio::spawn(request.send());
    tokio::select! {
        () = gate.arrived(1) => {}
        answer = &mut coming => {
            let answer = read(answer.unwrap().unwrap()).await;
            panic!("the provider was not asked: {} {}", answer.status, answer.body);
        }
    }
    process.kill().await;
    assert!(coming.await.unwrap().is_err(), "nothing was answered");
    gate.release();
}

#[tokio::test]
async fn a_kill_while_linking_leaves_what_was_linked_and_nothing_half_done() {
    let mut process = Process::open().await;
    process.link(SLACK, "release").await;
    let back = process.consented(GOOGLE, "release").await;
    let gate = process.sandbox.control().gate(Provider::Google);
    let request = process.getting(&back);
    kill_at(gate, &mut process, request).await;
    process.restart().await;
    assert_eq!(process.exchange(SLACK).await.status, 200);
    let none = process.exchange(GOOGLE).await;
    let code = "federated_connection_refresh_token_not_found";
    assert_eq!(none.error(), (401, code.to_owned()));
    let accounts = process.get("/accounts").await;
    assert_eq!(accounts.status, 200);
    assert_eq!(accounts.body.matches("href=\"/accounts/acc").count(), 1);
    // The code and the attempt were spent; a new one is all that is needed.
    process.link(GOOGLE, "release").await;
    assert_eq!(process.exchange(GOOGLE).await.status, 200);
}

/// Kills while the provider's answer to a refresh is held, its work done; what
/// the agent hears after the restart.
async fn killed_while_refreshing(
    provider: Provider,
    connection: &str,
    rotation: Rotation,
) -> Answer {
    let mut process = Process::open().await;
    let control = process.sandbox.control();
    control.set_rotation(provider, rotation);
    control.set_lifetime(provider, 10);
    process.link(connection, "release").await;
    control.set_lifetime(provider, 3600);
    let gate = control.gate_on(provider, Target::Refresh);
    let request = process.exchanging(connection);
    kill_at(gate, &mut process, request).await;
    process.restart().await;
    // The call of the dead process is waited out before the provider is asked again.
    let answer = process.exchange(connection).await;
    assert_eq!(control.token_calls(provider, "refresh_token"), 2);
    answer
}

#[tokio::test]
async fn a_kill_while_refreshing_loses_no_refresh_token_that_stays() {
    let answer = killed_while_refreshing(Provider::Google, GOOGLE, Rotation::Keeps).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

#[tokio::test]
async fn a_kill_while_refreshing_is_mended_within_the_providers_grace() {
    let grace = Rotation::Rotates {
        grace_seconds: 3600,
    };
    let answer = killed_while_refreshing(Provider::Google, GOOGLE, grace).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

#[tokio::test]
async fn only_strict_rotation_makes_a_kill_while_refreshing_ask_to_link_again() {
    let answer = killed_while_refreshing(Provider::Slack, SLACK, Rotation::Strict).await;
    let code = "federated_connection_refresh_token_flow_failed";
    assert_eq!(answer.error(), (401, code.to_owned()));
    assert_eq!(answer.text("reason"), "answer_lost");
}

#[tokio::test]
async fn ten_kills_lose_nothing_that_was_answered() {
    let mut process = Process::open().await;
    let control = process.sandbox.control();
    // Every exchange refreshes, and every refresh token is good once.
    control.set_rotation(Provider::Slack, Rotation::Strict);
    control.set_lifetime(Provider::Slack, 20);
    process.link(SLACK, "release").await;
    let mut approved: Vec<(String, String)> = Vec::new();
    for round in 0..10 {
        for _ in 0..round % 3 {
            let answer = process.exchange(SLACK).await;
            assert_eq!(answer.status, 200, "round {round}: {}", answer.body);
        }
        let (id, page) = ask(&process).await;
        let decided = process.post(&page, &[("decision", "approve")]).await;
        assert_eq!(decided.status, 303, "round {round}: {}", decided.body);
        approved.push((id, page));
        if round % 2 == 1 {
            // What waits at the provider dies with the process; Google has nothing yet.
            let back = process.consented(GOOGLE, "release").await;
            let gate = control.gate(Provider::Google);
            let request = process.getting(&back);
            kill_at(gate, &mut process, request).await;
        } else {
            process.kill().await;
        }
        process.restart().await;
        let (_, page) = approved.last().unwrap();
        let late = process.post(page, &[("decision", "deny")]).await;
        assert_eq!(late.status, 409, "round {round}: it is decided");
    }
    for (id, _) in &approved {
        assert_eq!(redeem(&process, id).await.status, 200);
        let again = redeem(&process, id).await;
        assert_eq!(again.error(), (400, "invalid_grant".to_owned()));
    }
    assert_eq!(process.exchange(SLACK).await.status, 200);
}

#[tokio::test]
async fn an_approval_that_was_answered_outlives_a_kill_and_is_redeemed_once() {
    let mut process = Process::open().await;
    process.link(SLACK, "call").await;
    let (id, page) = ask(&process).await;
    let decided = process.post(&page, &[("decision", "approve")]).await;
    assert_eq!(decided.status, 303);
    process.kill().await;
    process.restart().await;
    let redeemed = redeem(&process, &id).await;
    assert_eq!(redeemed.status, 200, "{}", redeemed.body);
    process.kill().await;
    process.restart().await;
    let again = redeem(&process, &id).await;
    assert_eq!(again.error(), (400, "invalid_grant".to_owned()));
    // The token that was answered is as good as before.
    let call = calling(&process, &redeemed.text("access_token"));
    let called = read(call.send().await.unwrap()).await;
    assert_eq!(called.status, 200, "{}", called.body);
    assert_eq!(process.sandbox.control().posted_messages().len(), 1);
}

#[tokio::test]
async fn an_approved_call_that_was_under_way_is_never_sent_twice() {
    let mut process = Process::open().await;
    process.link(SLACK, "call").await;
    let (id, page) = ask(&process).await;
    process.post(&page, &[("decision", "approve")]).await;
    let token = redeem(&process, &id).await.text("access_token");
    let control = process.sandbox.control();
    let gate = control.gate_on(Provider::Slack, Target::Api);
    let request = calling(&process, &token);
    kill_at(gate, &mut process, request).await;
    process.restart().await;
    let again = calling(&process, &token);
    let again = read(again.send().await.unwrap()).await;
    assert_eq!(again.status, 403, "{}", again.body);
    assert_eq!(again.text("error"), "approval_mismatch");
    assert_eq!(control.posted_messages().len(), 1);
    process.kill().await;

    // Once no call can still be under way its outcome is unknown, for good.
    let engine = later(&process, Duration::from_secs(600)).await;
    assert_eq!(approval::settle_lost_calls(&engine).await.unwrap(), 1);
    let ada = identity::person_by_email(&engine, EMAIL).await.unwrap();
    let id = page.strip_prefix("/approve/").unwrap();
    let approval = approval::get(&engine, &ada.unwrap().id, id).await.unwrap();
    let outcome = approval.unwrap().outcome.unwrap();
    assert_eq!(outcome.state, CallState::Unknown);
    engine.store.close().await;
}

/// The data folder that the process left, so much later than it was asked last.
async fn later(process: &Process, by: Duration) -> Engine {
    let asked = process.sandbox.control().requests(Provider::Slack);
    let clock = ManualClock::at(asked.last().unwrap().at);
    clock.advance(by);
    open(process, &process.database(), clock).await
}

/// An engine of this process on a database that the program left, or a copy of it.
pub async fn open(process: &Process, database: &Path, clock: ManualClock) -> Engine {
    let rng = Arc::new(SystemRng);
    let parts = Parts {
        database: Location::Sqlite(database.to_owned()),
        clock: Arc::new(clock),
        rng: rng.clone(),
        outbound: Arc::new(HttpOutbound::new().unwrap()),
        guarded: Arc::new(GuardedOutbound::new(true).unwrap()),
        settings: Settings {
            instance: "later".to_owned(),
            rotate_keys_days: 0,
            ..domain::testing::settings(&process.issuer)
        },
    };
    Engine::start(parts, |_| Ok(Arc::new(FileKey::read(&process.key(), rng)?)))
        .await
        .unwrap()
}
