//! Decisions that a passkey signs.

use domain::approval::{self, Channel, DecideError, Decision, RedeemError, State};
use domain::identity::passkeys::{self, PasskeyError};
use domain::testing::Bench;
use evidence::decision::DecisionEvidence;
use evidence::digest::base64url;
use evidence::webauthn::virtual_authenticator::VirtualAuthenticator;

use crate::story::{ask_of, story, story_on};

#[tokio::test]
async fn a_passkey_signs_what_was_shown_and_its_evidence_proves_it_alone() {
    let story = story().await;
    let mut phone = story.enrol(&story.person).await;
    let asked = story.asked().await;
    let id = &asked.approval_id;
    let decided = story.sign(id, Decision::Approve, &mut phone).await.unwrap();
    assert_eq!(decided.state, State::Approved);
    let made = approval::decisions(&story.bench, id).await.unwrap();
    assert_eq!((made.len(), made[0].channel), (1, Channel::Passkey));
    let text = approval::evidence_of(&story.bench, id)
        .await
        .unwrap()
        .unwrap();
    let proved = DecisionEvidence::parse(text.as_bytes())
        .unwrap()
        .prove()
        .unwrap();
    assert_eq!(proved.approval, *id);
    assert_eq!(proved.person, story.person.id);
    assert_eq!(proved.decision, evidence::challenge::Decision::Approve);
    assert_eq!(proved.text_digest, decided.shown.digest());
    let all = passkeys::list(&story.bench, &story.person.id)
        .await
        .unwrap();
    assert_eq!(proved.key_digest, all[0].key_digest());
    assert!(all[0].last_used_at.is_some());
    // The log names the passkey and binds the evidence.
    let leaf = leaf(&story.bench, "approval.approved").await;
    for part in [
        all[0].id.clone(),
        base64url(&all[0].key_digest()),
        base64url(&evidence::digest::sha256(text.as_bytes())),
    ] {
        assert!(leaf.contains(&part), "{leaf}");
    }
    assert!(story.poll(&asked).await.is_ok());
}

async fn leaf(bench: &Bench, kind: &str) -> String {
    let row = bench
        .store
        .reader()
        .await
        .unwrap()
        .optional("select leaf from events where kind = $1", vec![kind.into()])
        .await
        .unwrap();
    let bytes: Vec<u8> = row.unwrap().get("leaf").unwrap();
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn who_has_a_passkey_approves_with_it_or_not_at_all() {
    let story = story().await;
    let earlier = story.asked().await;
    let mut phone = story.enrol(&story.person).await;
    let later = story.asked().await;
    // Asked before or after: what counts is that they have one now.
    for asked in [&earlier, &later] {
        let plain = story.decide(&asked.approval_id, Decision::Approve).await;
        assert!(matches!(plain, Err(DecideError::NeedsPasskey)));
        let signing = signing(&story.bench, &story.person.id, &asked.approval_id).await;
        assert!(signing.needed && signing.challenge.is_some());
        story
            .sign(&asked.approval_id, Decision::Approve, &mut phone)
            .await
            .unwrap();
        assert!(story.poll(asked).await.is_ok());
    }
    // A demonstration puts nothing at stake.
    let mut light = ask_of(&story.person);
    light.details = None;
    let light = approval::ask(&story.bench, &story.client, light)
        .await
        .unwrap();
    story
        .decide(&light.approval_id, Decision::Approve)
        .await
        .unwrap();
    assert!(story.poll(&light).await.is_ok());
}

async fn signing(bench: &Bench, person: &str, id: &str) -> approval::Signing {
    let approval = approval::get(bench, person, id).await.unwrap().unwrap();
    approval::signing(bench, &approval).await.unwrap()
}

#[tokio::test]
async fn denying_needs_no_passkey() {
    let story = story().await;
    story.enrol(&story.person).await;
    let asked = story.asked().await;
    let denied = story
        .decide(&asked.approval_id, Decision::Deny)
        .await
        .unwrap();
    assert_eq!(denied.state, State::Denied);
}

#[tokio::test]
async fn an_answer_to_anything_else_decides_nothing() {
    let story = story().await;
    let mut phone = story.enrol(&story.person).await;
    let mut foreign = story.enrol(&story.stranger).await;
    let (asked, other) = (story.asked().await, story.asked().await);
    let id = asked.approval_id.as_str();
    let over = async |id: &str, decision| {
        let approval = approval::get(&story.bench, &story.person.id, id)
            .await
            .unwrap()
            .unwrap();
        approval::challenge(&story.bench, &approval, decision).hash()
    };
    let right = over(id, Decision::Approve).await;
    for wrong in [
        over(&other.approval_id, Decision::Approve).await,
        over(id, Decision::Deny).await,
        [0; 32],
    ] {
        let refused = story
            .sign_over(id, Decision::Approve, &mut phone, &wrong)
            .await;
        assert!(matches!(
            refused,
            Err(DecideError::Passkey(PasskeyError::Webauthn(_)))
        ));
    }
    let refused = story
        .sign_over(id, Decision::Approve, &mut foreign, &right)
        .await;
    assert!(matches!(
        refused,
        Err(DecideError::Passkey(PasskeyError::Unknown))
    ));
    // The person was there, but the device did not verify that it was them.
    phone.flags &= !0x04;
    let refused = story.sign(id, Decision::Approve, &mut phone).await;
    assert!(matches!(
        refused,
        Err(DecideError::Passkey(PasskeyError::Webauthn(_)))
    ));
    phone.flags |= 0x04;
    let party = passkeys::relying_party(&story.bench).unwrap();
    let refused = story
        .sign(
            id,
            Decision::Approve,
            &mut VirtualAuthenticator::new(&party),
        )
        .await;
    assert!(matches!(
        refused,
        Err(DecideError::Passkey(PasskeyError::Unknown))
    ));
    let still = approval::get(&story.bench, &story.person.id, id).await;
    assert_eq!(still.unwrap().unwrap().state, State::Pending);
    story.sign(id, Decision::Approve, &mut phone).await.unwrap();
}

#[tokio::test]
async fn a_passkey_removed_after_the_decision_takes_the_decision_with_it() {
    let story = story().await;
    let mut phone = story.enrol(&story.person).await;
    let asked = story.asked().await;
    story
        .sign(&asked.approval_id, Decision::Approve, &mut phone)
        .await
        .unwrap();
    let all = passkeys::list(&story.bench, &story.person.id)
        .await
        .unwrap();
    passkeys::revoke(&story.bench, &story.person.id, &all[0].id)
        .await
        .unwrap();
    assert!(matches!(
        story.poll(&asked).await,
        Err(RedeemError::AccessDenied {
            reason: "unsigned",
            ..
        })
    ));
    // And who has none left is not asked for less.
    let next = story.asked().await;
    let plain = story.decide(&next.approval_id, Decision::Approve).await;
    assert!(matches!(plain, Err(DecideError::NeedsPasskey)));
}

#[tokio::test]
async fn of_two_devices_that_decide_at_once_one_counts() {
    let story = story().await;
    let mut phone = story.enrol(&story.person).await;
    let asked = story.asked().await;
    let id = asked.approval_id.as_str();
    let (one, two) = tokio::join!(
        story.sign(id, Decision::Approve, &mut phone),
        story.decide(id, Decision::Deny)
    );
    assert_ne!(one.is_ok(), two.is_ok());
    let made = approval::decisions(&story.bench, id).await.unwrap();
    assert_eq!(made.len(), 1);
}

#[tokio::test]
async fn where_a_passkey_is_always_needed_who_has_none_can_only_deny() {
    let story = story_on(Bench::with_passkeys_needed().await).await;
    let asked = story.asked().await;
    let id = asked.approval_id.as_str();
    let signing = signing(&story.bench, &story.person.id, id).await;
    assert!(signing.needed && signing.challenge.is_none());
    let plain = story.decide(id, Decision::Approve).await;
    assert!(matches!(plain, Err(DecideError::NeedsPasskey)));
    story.decide(id, Decision::Deny).await.unwrap();
}
