use domain::agent::RunState;
use domain::agent::consent::{self, CLIENT_ID, Error, Returned};
use domain::oauth::{clients, consents};
use sandbox::Provider;

use crate::house::{House, text};
use crate::stage::SESSION;

#[tokio::test]
async fn nobody_gives_the_agent_another_secret() {
    let house = House::new().await;
    let account = house.ready(Provider::Slack).await;
    let refused = clients::new_secret(&house, None, CLIENT_ID).await;
    assert!(matches!(refused, Err(clients::Error::Invalid(_))));
    let run = house.run("list my Slack channels").await;
    let run = house.until(&run.id, |run| run.state.is_over()).await;
    assert_eq!(run.state, RunState::Done, "{}", account.id);
}

#[tokio::test]
async fn the_agent_is_registered_once_and_cannot_be_asked_for_its_secret() {
    let house = House::new().await;
    let first = consent::register(&house).await.unwrap();
    let again = consent::register(&house).await.unwrap();
    assert_eq!(first, again);
    assert!(first.embedded && !first.rotate_refresh);
    let listed = clients::list(&house, 100).await.unwrap();
    assert_eq!(listed.iter().filter(|client| client.embedded).count(), 1);
}

#[tokio::test]
async fn the_agent_follows_the_house_to_another_address() {
    let house = House::new().await;
    let here = consent::register(&house).await.unwrap().redirect_uris;
    let old = vec!["https://old.test/agent/callback".to_owned()];
    clients::redirect_to(&house, None, CLIENT_ID, old)
        .await
        .unwrap();
    let moved = consent::register(&house).await.unwrap();
    assert_eq!(moved.redirect_uris, here);
    let kept = clients::get(&house, CLIENT_ID).await.unwrap().unwrap();
    assert_eq!(kept.redirect_uris, here);
}

#[tokio::test]
async fn a_consent_counts_once_and_only_where_it_was_begun() {
    let house = House::new().await;
    let stranger = house.bench.person("stranger@example.com").await;
    let url = consent::start(&house, &house.ada.id, SESSION, None)
        .await
        .unwrap();
    let (state, code) = house.consented(&url, &[]).await;
    for (person, session, state) in [
        (&stranger.id, SESSION, state.as_str()),
        (&house.ada.id, "another session", &state),
        (&house.ada.id, SESSION, "forged"),
    ] {
        let refused =
            consent::finish(&house, person, session, state, Returned::Code(code.clone())).await;
        assert!(matches!(refused, Err(Error::UnknownState)));
    }
    let done = consent::finish(
        &house,
        &house.ada.id,
        SESSION,
        &state,
        Returned::Code(code.clone()),
    )
    .await;
    assert_eq!(done.unwrap(), None);
    let replay =
        consent::finish(&house, &house.ada.id, SESSION, &state, Returned::Code(code)).await;
    assert!(matches!(replay, Err(Error::UnknownState)));
}

#[tokio::test]
async fn a_consent_that_took_too_long_is_refused() {
    let house = House::new().await;
    let url = consent::start(&house, &house.ada.id, SESSION, None)
        .await
        .unwrap();
    let (state, code) = house.consented(&url, &[]).await;
    house.pass(600);
    let late = consent::finish(&house, &house.ada.id, SESSION, &state, Returned::Code(code)).await;
    assert!(matches!(late, Err(Error::UnknownState)));
}

#[tokio::test]
async fn somebody_elses_run_cannot_be_allowed() {
    let house = House::new().await;
    let stranger = house.bench.person("stranger@example.com").await;
    let run = house.run("list my Slack channels").await;
    let refused = consent::start(&house, &stranger.id, SESSION, Some(&run.id)).await;
    assert!(matches!(refused, Err(Error::NotFound)));
}

#[tokio::test]
async fn a_refused_consent_ends_its_run() {
    let house = House::new().await;
    let run = house.run("list my Slack channels").await;
    let url = consent::start(&house, &house.ada.id, SESSION, Some(&run.id))
        .await
        .unwrap();
    let state = url
        .query_pairs()
        .find(|(key, _)| key == "state")
        .unwrap()
        .1
        .into_owned();
    let denied = Returned::Error("access_denied".to_owned());
    consent::finish(&house, &house.ada.id, SESSION, &state, denied)
        .await
        .unwrap();
    let run = house.until(&run.id, |run| run.state.is_over()).await;
    assert_eq!(run.state, RunState::Denied);
    assert!(text(&run).contains("did not let the agent"));
}

#[tokio::test]
async fn a_consent_taken_back_makes_the_next_run_ask_again() {
    let house = House::new().await;
    house.ready(Provider::Slack).await;
    consents::revoke(&house, &house.ada.id, CLIENT_ID)
        .await
        .unwrap();
    let run = house.run("list my Slack channels").await;
    let run = house.until_state(&run.id, RunState::WaitingConsent).await;
    assert_eq!(run.state, RunState::WaitingConsent);
}

#[tokio::test]
async fn the_agents_tokens_lie_sealed() {
    let house = House::new().await;
    house.ready(Provider::Slack).await;
    let row = house
        .row("select refresh_sealed, data_key from agent_tokens", vec![])
        .await
        .unwrap();
    for column in ["refresh_sealed", "data_key"] {
        let bytes: Vec<u8> = row.get(column).unwrap();
        assert!(
            !String::from_utf8_lossy(&bytes).contains("att_"),
            "{column}"
        );
    }
    // Copied to another person's row, nothing opens.
    let other = house.bench.person("other@example.com").await;
    house
        .sql(
            "insert into agent_tokens (person_id, client_id, data_key, kek_id, refresh_sealed, updated_at) \
             select $1, client_id, data_key, kek_id, refresh_sealed, updated_at from agent_tokens",
            vec![(&other.id).into()],
        )
        .await;
    let run = domain::agent::runs::start(&house, &other.id, "list my Slack channels")
        .await
        .unwrap();
    let again = house.run("list my Slack channels").await;
    house.until(&again.id, |run| run.state.is_over()).await;
    let stuck = domain::agent::runs::get(&house, &other.id, &run.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(stuck.state, RunState::Running);
    assert_eq!(stuck.answer, None);
}
