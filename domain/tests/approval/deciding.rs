use std::time::Duration;

use domain::approval::{self, DecideError, Decision, Filter, RedeemError, State};

use crate::story::story;

#[tokio::test]
async fn an_approved_request_is_redeemed_once() {
    let story = story().await;
    let asked = story.asked().await;
    assert_eq!((asked.expires_in_s, asked.interval_s), (300, 5));
    assert!(matches!(
        story.poll(&asked).await,
        Err(RedeemError::AuthorizationPending)
    ));
    let decided = story
        .decide(&asked.approval_id, Decision::Approve)
        .await
        .unwrap();
    assert_eq!(decided.state, State::Approved);
    let redeemed = story.poll(&asked).await.unwrap();
    assert_eq!(redeemed.state, State::Consumed);
    assert_eq!(redeemed.details[0]["service"], "billing");
    assert!(matches!(
        story.poll(&asked).await,
        Err(RedeemError::InvalidGrant)
    ));
    let made = approval::decisions(&story.bench, &asked.approval_id)
        .await
        .unwrap();
    assert_eq!(made.len(), 1);
    assert_eq!(made[0].address.as_deref(), Some("192.0.2.1"));
}

#[tokio::test]
async fn a_denied_approval_cannot_be_approved_later() {
    let story = story().await;
    let asked = story.asked().await;
    story
        .decide(&asked.approval_id, Decision::Deny)
        .await
        .unwrap();
    let late = story.decide(&asked.approval_id, Decision::Approve).await;
    assert!(matches!(
        late,
        Err(DecideError::AlreadyDecided {
            state: State::Denied
        })
    ));
    let denied = story.poll(&asked).await;
    assert!(matches!(
        denied,
        Err(RedeemError::AccessDenied {
            reason: "denied",
            said: None
        })
    ));
}

#[tokio::test]
async fn an_approved_request_cannot_be_denied_later() {
    let story = story().await;
    let asked = story.asked().await;
    let id = &asked.approval_id;
    story.decide(id, Decision::Approve).await.unwrap();
    for late in [Decision::Deny, Decision::Approve] {
        let late = story.decide(id, late).await;
        let state = State::Approved;
        assert!(matches!(late, Err(DecideError::AlreadyDecided { state: was }) if was == state));
    }
    assert!(story.poll(&asked).await.is_ok());
    for late in [Decision::Deny, Decision::Approve] {
        let late = story.decide(id, late).await;
        let state = State::Consumed;
        assert!(matches!(late, Err(DecideError::AlreadyDecided { state: was }) if was == state));
    }
    let made = approval::decisions(&story.bench, id).await.unwrap();
    assert_eq!(made.len(), 1);
}

#[tokio::test]
async fn after_its_time_a_request_can_be_neither_approved_denied_nor_cancelled() {
    for swept in [false, true] {
        let story = story().await;
        let asked = story.asked().await;
        let id = &asked.approval_id;
        story.bench.advance(Duration::from_secs(300));
        if swept {
            approval::expire_due(&story.bench).await.unwrap();
        }
        let cancelled = approval::cancel(&story.bench, &story.client.id, id).await;
        assert!(matches!(cancelled, Err(DecideError::Expired)), "{swept}");
        for late in [Decision::Approve, Decision::Deny] {
            let late = story.decide(id, late).await;
            assert!(matches!(late, Err(DecideError::Expired)), "{swept}");
        }
        let polled = story.poll(&asked).await;
        assert!(matches!(polled, Err(RedeemError::ExpiredToken)), "{swept}");
        let made = approval::decisions(&story.bench, id).await.unwrap();
        assert_eq!(made.len(), 0);
    }
}

#[tokio::test]
async fn nobody_decides_for_somebody_else() {
    let story = story().await;
    let asked = story.asked().await;
    let foreign = story
        .decide_as(&story.stranger, &asked.approval_id, Decision::Approve)
        .await;
    assert!(matches!(foreign, Err(DecideError::NotFound)));
    let seen = approval::get(&story.bench, &story.stranger.id, &asked.approval_id)
        .await
        .unwrap();
    assert!(seen.is_none());
    let mine = approval::get(&story.bench, &story.person.id, &asked.approval_id)
        .await
        .unwrap();
    assert_eq!(mine.unwrap().state, State::Pending);
}

#[tokio::test]
async fn an_expired_request_is_neither_decided_nor_redeemed() {
    let story = story().await;
    let asked = story.asked().await;
    story.bench.advance(Duration::from_secs(300));
    let seen = approval::get(&story.bench, &story.person.id, &asked.approval_id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(seen.state, State::Expired);
    let late = story.decide(&asked.approval_id, Decision::Approve).await;
    assert!(matches!(late, Err(DecideError::Expired)));
    assert!(matches!(
        story.poll(&asked).await,
        Err(RedeemError::ExpiredToken)
    ));
    assert_eq!(
        approval::pending_count(&story.bench, &story.person.id)
            .await
            .unwrap(),
        0
    );
}

#[tokio::test]
async fn the_upkeep_marks_what_ran_out_and_tells_who_waits() {
    let story = story().await;
    let asked = story.asked().await;
    assert_eq!(approval::expire_due(&story.bench).await.unwrap(), 0);
    story.bench.advance(Duration::from_secs(300));
    let mut signals = story.bench.store.signals();
    assert_eq!(approval::expire_due(&story.bench).await.unwrap(), 1);
    assert_eq!(approval::expire_due(&story.bench).await.unwrap(), 0);
    let signal = signals.recv().await.unwrap();
    let told = if signal.topic == "approval" {
        signal
    } else {
        signals.recv().await.unwrap()
    };
    assert_eq!(told.id, asked.approval_id);
}

#[tokio::test]
async fn an_answer_given_in_the_last_moment_is_still_fetched() {
    let story = story().await;
    let asked = story.asked().await;
    story.bench.advance(Duration::from_secs(299));
    story
        .decide(&asked.approval_id, Decision::Approve)
        .await
        .unwrap();
    story.bench.advance(Duration::from_secs(30));
    assert!(story.poll(&asked).await.is_ok());
}

#[tokio::test]
async fn an_approval_that_nobody_fetches_runs_out() {
    let story = story().await;
    let asked = story.asked().await;
    story
        .decide(&asked.approval_id, Decision::Approve)
        .await
        .unwrap();
    story.bench.advance(Duration::from_secs(301));
    assert!(matches!(
        story.poll(&asked).await,
        Err(RedeemError::ExpiredToken)
    ));
}

#[tokio::test]
async fn a_hasty_client_is_slowed_down_and_a_decision_is_told_at_once() {
    let story = story().await;
    let asked = story.asked().await;
    assert!(matches!(
        story.poll(&asked).await,
        Err(RedeemError::AuthorizationPending)
    ));
    story.bench.advance(Duration::from_secs(4));
    assert!(matches!(
        story.poll(&asked).await,
        Err(RedeemError::SlowDown { retry_after_s: 10 })
    ));
    story.bench.advance(Duration::from_secs(10));
    assert!(matches!(
        story.poll(&asked).await,
        Err(RedeemError::AuthorizationPending)
    ));
    story
        .decide(&asked.approval_id, Decision::Approve)
        .await
        .unwrap();
    assert!(story.poll(&asked).await.is_ok());
}

#[tokio::test]
async fn a_cancelled_request_is_the_agents_own_doing() {
    let story = story().await;
    let (other, _) = story.bench.client("Other").await;
    let asked = story.asked().await;
    let foreign = approval::cancel(&story.bench, &other.id, &asked.approval_id).await;
    assert!(matches!(foreign, Err(DecideError::NotFound)));
    approval::cancel(&story.bench, &story.client.id, &asked.approval_id)
        .await
        .unwrap();
    let late = story.decide(&asked.approval_id, Decision::Approve).await;
    assert!(matches!(
        late,
        Err(DecideError::AlreadyDecided {
            state: State::Cancelled
        })
    ));
    assert!(matches!(
        story.poll(&asked).await,
        Err(RedeemError::AccessDenied {
            reason: "cancelled",
            said: None,
        })
    ));
}

#[tokio::test]
async fn another_clients_request_is_no_ones() {
    let story = story().await;
    let (other, _) = story.bench.client("Other").await;
    let asked = story.asked().await;
    story
        .decide(&asked.approval_id, Decision::Approve)
        .await
        .unwrap();
    let stolen =
        approval::poll_and_redeem(&story.bench, &other.id, asked.auth_req_id.expose()).await;
    assert!(matches!(stolen, Err(RedeemError::InvalidGrant)));
    let nonsense =
        approval::poll_and_redeem(&story.bench, &story.client.id, "att_ar_nonsense").await;
    assert!(matches!(nonsense, Err(RedeemError::InvalidGrant)));
    assert!(story.poll(&asked).await.is_ok());
}

#[tokio::test]
async fn of_a_hundred_redemptions_at_once_one_wins() {
    let story = story().await;
    let asked = story.asked().await;
    story
        .decide(&asked.approval_id, Decision::Approve)
        .await
        .unwrap();
    let polls = (0..100).map(|_| story.poll(&asked));
    let answers = futures::future::join_all(polls).await;
    let won = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(won, 1);
    let lost = answers
        .iter()
        .filter(|answer| matches!(answer, Err(RedeemError::InvalidGrant)))
        .count();
    assert_eq!(lost, 99);
}

#[tokio::test]
async fn of_two_decisions_at_once_one_counts() {
    let story = story().await;
    let asked = story.asked().await;
    let (one, two) = tokio::join!(
        story.decide(&asked.approval_id, Decision::Approve),
        story.decide(&asked.approval_id, Decision::Deny)
    );
    assert_ne!(one.is_ok(), two.is_ok());
    let made = approval::decisions(&story.bench, &asked.approval_id)
        .await
        .unwrap();
    assert_eq!(made.len(), 1);
}

#[tokio::test]
async fn lists_hold_what_they_say() {
    let story = story().await;
    let pending = story.asked().await;
    let decided = story.asked().await;
    story
        .decide(&decided.approval_id, Decision::Deny)
        .await
        .unwrap();
    let ids = async |filter| -> Vec<String> {
        let all = approval::list(&story.bench, &story.person.id, filter, 10)
            .await
            .unwrap();
        all.into_iter().map(|approval| approval.id).collect()
    };
    assert_eq!(ids(Filter::Pending).await, [pending.approval_id.as_str()]);
    assert_eq!(ids(Filter::Decided).await, [decided.approval_id.as_str()]);
    assert_eq!(ids(Filter::All).await.len(), 2);
    assert_eq!(
        approval::pending_count(&story.bench, &story.person.id)
            .await
            .unwrap(),
        1
    );
    let found = approval::find_by_binding_message(&story.bench, "K7-42")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.id, pending.approval_id);
    let found = approval::find_by_auth_req(&story.bench, decided.auth_req_id.expose())
        .await
        .unwrap();
    assert_eq!(found.unwrap().id, decided.approval_id);
}
