//! Somebody who writes the database makes nothing of it that needs a signature.

use domain::approval::{self, DecideError, Decision, RedeemError};
use domain::identity::passkeys::{self, PasskeyError, Proof};

use crate::story::{SESSION, Story, story};

/// A request that needs a signature, and none yet.
async fn waiting() -> (Story, approval::Asked) {
    let story = story().await;
    story.enrol(&story.person).await;
    let asked = story.asked().await;
    (story, asked)
}

fn is_bad_row<T>(outcome: Result<T, RedeemError>) -> bool {
    matches!(
        outcome,
        Err(RedeemError::Storage(domain::storage::Error::BadRow { .. }))
    )
}

#[tokio::test]
async fn an_approval_made_by_hand_is_refused() {
    for sql in [
        "update approvals set state = 'approved', decided_at = created_at",
        "update approvals set needs_passkey = false",
        "update approvals set state = 'approved', needs_passkey = false, decided_at = created_at",
    ] {
        let (story, asked) = waiting().await;
        story.tamper(sql).await;
        // An instance that knows nothing by heart.
        let story = Story {
            bench: story.bench.restart().await,
            ..story
        };
        assert!(is_bad_row(story.poll(&asked).await), "{sql}");
        let plain = story.decide(&asked.approval_id, Decision::Approve).await;
        assert!(matches!(plain, Err(DecideError::Storage(_))), "{sql}");
    }
}

#[tokio::test]
async fn passkeys_taken_out_of_the_database_are_still_asked_for() {
    let (story, asked) = waiting().await;
    story.tamper("delete from passkeys").await;
    let next = story.asked().await;
    for asked in [&asked, &next] {
        let plain = story.decide(&asked.approval_id, Decision::Approve).await;
        assert!(matches!(plain, Err(DecideError::NeedsPasskey)));
    }
    // Nor does a sign-in give the first one again.
    let recent = Proof::SignIn {
        at: story.bench.now(),
    };
    let first = passkeys::begin_registration(&story.bench, &story.person.id, SESSION, recent).await;
    assert!(matches!(first, Err(PasskeyError::NeedsPasskey)));
    // Their own row says so, and carries a MAC.
    story
        .tamper("update people set passkeys_since = null where passkeys_since is not null")
        .await;
    let plain = story.decide(&next.approval_id, Decision::Approve).await;
    assert!(plain.is_err());
    let later = approval::ask(
        &story.bench,
        &story.client,
        crate::story::ask_of(&story.person),
    )
    .await;
    // Whether that row was read or known by heart, nothing is approved.
    if let Ok(later) = later {
        let plain = story.decide(&later.approval_id, Decision::Approve).await;
        assert!(plain.is_err());
    }
}

#[tokio::test]
async fn a_passkey_given_to_somebody_else_signs_nothing() {
    let (story, asked) = waiting().await;
    let mut theirs = story.enrol(&story.stranger).await;
    story
        .tamper("update passkeys set person_id = (select person_id from approvals limit 1)")
        .await;
    let forged = story
        .sign(&asked.approval_id, Decision::Approve, &mut theirs)
        .await;
    assert!(matches!(forged, Err(DecideError::Storage(_))));
}

#[tokio::test]
async fn the_evidence_of_one_approval_is_none_for_another() {
    let story = story().await;
    let mut phone = story.enrol(&story.person).await;
    let (signed, other) = (story.asked().await, story.asked().await);
    for asked in [&signed, &other] {
        story
            .sign(&asked.approval_id, Decision::Approve, &mut phone)
            .await
            .unwrap();
    }
    // Both decisions get the evidence of one.
    story
        .tamper("update decisions set evidence = (select max(evidence) from decisions)")
        .await;
    let (one, two) = (story.poll(&signed).await, story.poll(&other).await);
    assert_ne!(one.is_ok(), two.is_ok());
    assert!(is_bad_row(if one.is_ok() { two } else { one }));
}

#[tokio::test]
async fn a_decision_that_is_gone_takes_the_approval_with_it() {
    for sql in [
        "delete from decisions",
        "update decisions set evidence = null, channel = 'browser'",
        "delete from passkeys",
        "update passkeys set hold_until = null, state = 'active', name = 'x'",
    ] {
        let story = story().await;
        let mut phone = story.enrol(&story.person).await;
        let asked = story.asked().await;
        story
            .sign(&asked.approval_id, Decision::Approve, &mut phone)
            .await
            .unwrap();
        story.tamper(sql).await;
        let refused = story.poll(&asked).await;
        assert!(
            matches!(
                refused,
                Err(RedeemError::AccessDenied {
                    reason: "unsigned",
                    ..
                } | RedeemError::Storage(_))
            ),
            "{sql}"
        );
    }
}
