//! Several people approve, each once, each with their own passkey.

use std::collections::BTreeSet;

use domain::approval::policies::{self, Approvers, Demands, NewPolicy, PasskeyDemand, Rule};
use domain::approval::{self, Asked, DecideError, Decision, Filter, RedeemError, State};
use domain::identity::Person;
use domain::oauth::token::{self, TokenRequest};
use domain::secret::Secret;
use evidence::decision::DecisionEvidence;
use evidence::webauthn::virtual_authenticator::VirtualAuthenticator;

use crate::story::{Story, answer, choice, story};

/// A story in which `needed` of four approvers must approve.
pub async fn of_four(needed: u8, passkey: PasskeyDemand) -> (Story, Vec<Person>) {
    let story = story().await;
    let mut four = Vec::new();
    for name in ["ben", "cid", "dora", "eve"] {
        four.push(story.bench.person(&format!("{name}@example.com")).await);
    }
    let admin = story.bench.admin("root@example.com").await;
    let new = NewPolicy {
        name: "Several eyes".to_owned(),
        client_id: None,
        rule: Rule::Approving {
            details_type: Some("deployment".to_owned()),
            demands: Demands {
                passkey,
                approvers: vec![Approvers {
                    needed,
                    people: four.iter().map(|person| person.id.clone()).collect(),
                }],
                ..Demands::default()
            },
        },
    };
    policies::add(&story.bench, &admin.id, new).await.unwrap();
    (story, four)
}

async fn approve(
    story: &Story,
    person: &Person,
    asked: &Asked,
) -> Result<approval::Approval, DecideError> {
    story
        .decide_as(person, &asked.approval_id, Decision::Approve)
        .await
}

async fn sign(
    story: &Story,
    person: &Person,
    asked: &Asked,
    key: &mut VirtualAuthenticator,
) -> Result<approval::Approval, DecideError> {
    let id = asked.approval_id.as_str();
    let seen = approval::seen_by(&story.bench, &person.id, id)
        .await
        .unwrap()
        .unwrap();
    let over = approval::challenge_of(&story.bench, &seen, Decision::Approve, &person.id);
    let answer = answer(key, person, &over.hash());
    approval::decide_signed(&story.bench, choice(person, id, Decision::Approve), answer).await
}

#[tokio::test]
async fn two_of_four_approve_and_the_token_names_them() {
    let (story, four) = of_four(2, PasskeyDemand::None).await;
    let asked = story.asked().await;
    let id = asked.approval_id.as_str();
    // Who was asked sees it and cannot approve it; a stranger sees nothing.
    let own = approve(&story, &story.person, &asked).await;
    assert!(matches!(own, Err(DecideError::OthersApprove)));
    let nobody = approve(&story, &story.stranger, &asked).await;
    assert!(matches!(nobody, Err(DecideError::NotFound)));
    for (person, count) in [(&four[0], 1), (&story.person, 1), (&story.stranger, 0)] {
        let pending = approval::pending_count(&story.bench, &person.id)
            .await
            .unwrap();
        let list = approval::list(&story.bench, &person.id, Filter::Pending, 10)
            .await
            .unwrap();
        assert_eq!(
            (pending, list.len()),
            (count, usize::try_from(count).unwrap())
        );
    }
    let first = approve(&story, &four[0], &asked).await.unwrap();
    assert_eq!(first.state, State::Pending);
    assert!(matches!(
        story.poll(&asked).await,
        Err(RedeemError::AuthorizationPending)
    ));
    let again = approve(&story, &four[0], &asked).await;
    assert!(matches!(again, Err(DecideError::AlreadyYours)));
    let second = approve(&story, &four[2], &asked).await.unwrap();
    assert_eq!(second.state, State::Approved);
    let late = approve(&story, &four[1], &asked).await;
    assert!(matches!(late, Err(DecideError::AlreadyDecided { .. })));
    assert_eq!(
        approval::decisions(&story.bench, id).await.unwrap().len(),
        2
    );
    let request = TokenRequest::Ciba {
        auth_req_id: Secret::new(asked.auth_req_id.expose().clone()),
        audience: None,
    };
    let answer = token::grant(&story.bench, request, &story.client, None)
        .await
        .unwrap();
    let mut both = vec![four[0].id.clone(), four[2].id.clone()];
    both.sort();
    assert_eq!(answer.approved_by, both);
    let body: serde_json::Value = serde_json::from_str(answer.body().expose()).unwrap();
    assert_eq!(body["approved_by"], serde_json::json!(both));
}

#[tokio::test]
async fn anybody_who_sees_it_can_deny_it() {
    for who in 0..2 {
        let (story, four) = of_four(2, PasskeyDemand::None).await;
        let asked = story.asked().await;
        approve(&story, &four[0], &asked).await.unwrap();
        let denier = [&story.person, &four[1]][who];
        let denied = story
            .decide_as(denier, &asked.approval_id, Decision::Deny)
            .await
            .unwrap();
        assert_eq!(denied.state, State::Denied);
        let late = approve(&story, &four[3], &asked).await;
        assert!(matches!(late, Err(DecideError::AlreadyDecided { .. })));
        assert!(matches!(
            story.poll(&asked).await,
            Err(RedeemError::AccessDenied {
                reason: "denied",
                ..
            })
        ));
    }
}

#[tokio::test]
async fn each_approver_signs_with_their_own_passkey_and_each_is_proved() {
    let (story, four) = of_four(2, PasskeyDemand::Always).await;
    let mut keys = Vec::new();
    for person in &four[..2] {
        keys.push(story.enrol(person).await);
    }
    let asked = story.asked().await;
    let plain = approve(&story, &four[0], &asked).await;
    assert!(matches!(plain, Err(DecideError::NeedsPasskey)));
    // The key of one of them signs for nobody else.
    let (ben, cid) = (&four[0], &four[1]);
    let foreign = sign(&story, cid, &asked, &mut keys[0]).await;
    assert!(matches!(foreign, Err(DecideError::Passkey(_))));
    sign(&story, ben, &asked, &mut keys[0]).await.unwrap();
    sign(&story, cid, &asked, &mut keys[1]).await.unwrap();
    let made = approval::decisions(&story.bench, &asked.approval_id)
        .await
        .unwrap();
    let proved: BTreeSet<String> = made
        .iter()
        .map(|made| {
            let text = made.evidence.as_ref().unwrap();
            let evidence = DecisionEvidence::parse(text.as_bytes()).unwrap();
            evidence.prove().unwrap().person
        })
        .collect();
    assert_eq!(proved, BTreeSet::from([ben.id.clone(), cid.id.clone()]));
    assert!(story.poll(&asked).await.is_ok());
}

#[tokio::test]
async fn a_passkey_of_an_approver_that_is_gone_takes_their_approval_with_it() {
    let (story, four) = of_four(2, PasskeyDemand::Always).await;
    let asked = story.asked().await;
    for person in &four[..2] {
        let mut key = story.enrol(person).await;
        sign(&story, person, &asked, &mut key).await.unwrap();
    }
    let passkeys = domain::identity::passkeys::list(&story.bench, &four[0].id)
        .await
        .unwrap();
    domain::identity::passkeys::revoke(&story.bench, &four[0].id, &passkeys[0].id)
        .await
        .unwrap();
    assert!(matches!(
        story.poll(&asked).await,
        Err(RedeemError::AccessDenied {
            reason: "unsigned",
            ..
        })
    ));
}

#[tokio::test]
async fn who_writes_the_database_adds_no_approver_and_no_approval() {
    for sql in [
        "delete from decisions",
        "update decisions set person_id = (select person_id from approvals limit 1) where person_id = (select max(person_id) from decisions)",
        "update approvals set in_force = null",
        "update approvals set person_id = (select id from people where email = 'eve@example.com')",
    ] {
        let (story, four) = of_four(2, PasskeyDemand::None).await;
        let asked = story.asked().await;
        for person in &four[..2] {
            approve(&story, person, &asked).await.unwrap();
        }
        story.tamper(sql).await;
        assert!(
            matches!(
                story.poll(&asked).await,
                Err(RedeemError::AccessDenied {
                    reason: "unsigned",
                    ..
                } | RedeemError::Storage(_))
            ),
            "{sql}"
        );
    }
    // A seat is only to find it by.
    let (story, _) = of_four(1, PasskeyDemand::None).await;
    let asked = story.asked().await;
    story
        .tamper("update approval_seats set person_id = (select id from people where email = 'stranger@example.com') where person_id = (select max(person_id) from approval_seats)")
        .await;
    let stranger = approve(&story, &story.stranger, &asked).await;
    assert!(matches!(stranger, Err(DecideError::NotFound)));
    let list = approval::list(&story.bench, &story.stranger.id, Filter::All, 10).await;
    assert!(list.unwrap().is_empty());
}

#[tokio::test]
async fn one_person_who_approves_twenty_times_at_once_is_one() {
    let (story, four) = of_four(2, PasskeyDemand::None).await;
    let asked = story.asked().await;
    let tries = (0..20).map(|_| approve(&story, &four[0], &asked));
    let done = futures::future::join_all(tries).await;
    assert_eq!(done.iter().filter(|one| one.is_ok()).count(), 1);
    let seen = approval::seen_by(&story.bench, &four[1].id, &asked.approval_id).await;
    assert_eq!(seen.unwrap().unwrap().state, State::Pending);
}

/// Small and repeatable: the numbers only have to differ.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from((self.0 >> 33) % most).unwrap()
    }
}

#[tokio::test]
async fn whatever_happens_in_whatever_order_enough_different_people_approved() {
    let (story, four) = of_four(3, PasskeyDemand::None).await;
    let mut dice = Dice(7);
    let (mut approved, mut denied) = (0, 0);
    for _ in 0..25 {
        let asked = story.asked().await;
        let id = asked.approval_id.as_str();
        let mut who = BTreeSet::new();
        let mut ended = None;
        for _ in 0..14 {
            let person = match dice.below(6) {
                4 => &story.person,
                5 => &story.stranger,
                at => &four[at],
            };
            let decision = if dice.below(20) == 0 {
                Decision::Deny
            } else {
                Decision::Approve
            };
            let done = story.decide_as(person, id, decision).await;
            if let Ok(approval) = &done {
                assert!(ended.is_none(), "{ended:?} was left");
                match decision {
                    Decision::Approve => assert!(who.insert(person.id.clone()), "twice"),
                    Decision::Deny => assert_eq!(approval.state, State::Denied),
                }
                let enough = decision == Decision::Approve && who.len() >= 3;
                assert_eq!(approval.state == State::Approved, enough);
                if approval.state == State::Denied {
                    assert!(!who.contains(&person.id), "their approval stood");
                }
                if approval.state != State::Pending {
                    ended = Some(approval.state);
                }
            }
        }
        match (ended, story.poll(&asked).await) {
            (Some(State::Approved), Ok(_)) => approved += 1,
            (Some(State::Denied), Err(RedeemError::AccessDenied { .. })) => denied += 1,
            (None, Err(RedeemError::AuthorizationPending)) => {}
            (ended, polled) => panic!("{ended:?} {polled:?}"),
        }
    }
    assert!(approved > 3 && denied > 3, "{approved} {denied}");
}

#[tokio::test]
async fn approvers_are_people_of_this_house_each_named_once() {
    let story = story().await;
    let admin = story.bench.admin("root@example.com").await;
    let me = story.person.id.clone();
    for (needed, people) in [
        (0, vec![me.clone()]),
        (2, vec![me.clone()]),
        (1, vec![me.clone(), me.clone()]),
        (1, vec!["per_nobody".to_owned()]),
    ] {
        let new = NewPolicy {
            name: "Several eyes".to_owned(),
            client_id: None,
            rule: Rule::Approving {
                details_type: None,
                demands: Demands {
                    approvers: vec![Approvers { needed, people }],
                    ..Demands::default()
                },
            },
        };
        let refused = policies::add(&story.bench, &admin.id, new).await;
        assert!(matches!(refused, Err(policies::PolicyError::Invalid(..))));
    }
}
