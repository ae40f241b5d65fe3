//! A noisy agent is muted: it rings nothing, and locks nobody out.

use std::time::Duration;

use domain::approval::channels::{self, deliver};
use domain::approval::mutes::{self, MuteError};
use domain::approval::push::notices;
use domain::approval::{self, Decision, Filter};

use crate::notices::Service;
use crate::story::{Story, story};

async fn rung(story: &Story) -> usize {
    notices::run_due(&story.bench).await.unwrap() + deliver::run_due(&story.bench).await.unwrap()
}

#[tokio::test]
async fn a_muted_agent_rings_nothing_but_is_listed_and_decided_as_ever() {
    let story = story().await;
    let service = Service::open().await;
    service.subscribe(&story, &story.person, "/phone").await;
    let app = format!("{}/app", service.base);
    channels::add_webhook(&story.bench, &story.person.id, &app)
        .await
        .unwrap();
    story.asked().await;
    assert_eq!(rung(&story).await, 2);
    let (me, agent) = (&story.person.id, &story.client.id);
    mutes::mute(&story.bench, me, agent, 1).await.unwrap();
    let muted = mutes::list(&story.bench, me).await.unwrap();
    assert_eq!(muted.len(), 1);
    assert_eq!(muted[0].agent, "Release bot");
    assert_eq!(muted[0].until, story.bench.now() + 3_600_000);
    let asked = story.asked().await;
    assert_eq!(rung(&story).await, 0);
    let waiting = approval::list(&story.bench, me, Filter::Pending, 10).await;
    assert_eq!(waiting.unwrap().len(), 2);
    story
        .decide(&asked.approval_id, Decision::Approve)
        .await
        .unwrap();
    assert!(story.poll(&asked).await.is_ok());
    assert_eq!(rung(&story).await, 0, "nor does its end");
    // Somebody else's devices ring as before, and after the hour so do these.
    assert!(
        mutes::list(&story.bench, &story.stranger.id)
            .await
            .unwrap()
            .is_empty()
    );
    story.bench.advance(Duration::from_secs(3600));
    assert!(mutes::list(&story.bench, me).await.unwrap().is_empty());
    story.asked().await;
    assert_eq!(rung(&story).await, 2);
}

#[tokio::test]
async fn a_mute_is_taken_back_and_has_an_end() {
    let story = story().await;
    let service = Service::open().await;
    service.subscribe(&story, &story.person, "/phone").await;
    let (me, agent) = (&story.person.id, &story.client.id);
    for hours in [0, -1, 2, 24 * 365] {
        let refused = mutes::mute(&story.bench, me, agent, hours).await;
        assert!(matches!(refused, Err(MuteError::Hours)), "{hours}");
    }
    let nobody = mutes::mute(&story.bench, me, "nobody", 1).await;
    assert!(matches!(nobody, Err(MuteError::NotFound)));
    mutes::mute(&story.bench, me, agent, 1).await.unwrap();
    mutes::mute(&story.bench, me, agent, 8).await.unwrap();
    assert_eq!(mutes::list(&story.bench, me).await.unwrap().len(), 1);
    mutes::unmute(&story.bench, me, agent).await.unwrap();
    mutes::unmute(&story.bench, me, agent).await.unwrap();
    story.asked().await;
    assert_eq!(rung(&story).await, 1);
}
