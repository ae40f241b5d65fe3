//! Policies: what approving takes, and that nobody who writes the database
//! makes it take less.

use std::time::Duration;

use domain::approval::policies::{self, Demands, NewPolicy, PasskeyDemand, PolicyError, Rule};
use domain::approval::{self, AskError, Asked, DecideError, Decision, RedeemError, State};
use domain::identity::Person;
use domain::storage::{Error as StorageError, Value};
use evidence::webauthn::virtual_authenticator::VirtualAuthenticator;
use serde_json::json;

use crate::story::{Story, answer, ask_of, choice, story, story_on};

fn passkey(demand: PasskeyDemand) -> Demands {
    Demands {
        passkey: demand,
        ..Demands::default()
    }
}

fn policy(details_type: Option<&str>, demands: Demands) -> NewPolicy {
    NewPolicy {
        name: "Careful".to_owned(),
        client_id: None,
        rule: Rule::Approving {
            details_type: details_type.map(str::to_owned),
            demands,
        },
    }
}

async fn admin(story: &Story) -> Person {
    story.bench.admin("root@example.com").await
}

async fn with(new: NewPolicy) -> Story {
    let story = story().await;
    let admin = admin(&story).await;
    policies::add(&story.bench, &admin.id, new).await.unwrap();
    story
}

/// A demonstration puts nothing at stake: without a policy nothing is asked for it.
async fn asked_for(story: &Story, details_type: &str) -> Asked {
    let mut ask = ask_of(&story.person);
    ask.details = Some(match details_type {
        "payment" => {
            json!([{"type": "payment", "amount": "1", "currency": "EUR", "payee": "Anna"}])
        }
        other => json!([{ "type": other }]),
    });
    approval::ask(&story.bench, &story.client, ask)
        .await
        .unwrap()
}

async fn approve_with(
    story: &Story,
    asked: &Asked,
    number: Option<&str>,
) -> Result<approval::Approval, DecideError> {
    let mut decide = choice(&story.person, &asked.approval_id, Decision::Approve);
    decide.number = number.map(str::to_owned);
    approval::decide(&story.bench, decide).await
}

#[tokio::test]
async fn a_policy_asks_for_a_passkey_where_nothing_else_would() {
    let story = with(policy(
        Some("demonstration"),
        passkey(PasskeyDemand::Always),
    ))
    .await;
    let asked = asked_for(&story, "demonstration").await;
    let plain = story.decide(&asked.approval_id, Decision::Approve).await;
    assert!(matches!(plain, Err(DecideError::NeedsPasskey)));
    let mut phone = story.enrol(&story.person).await;
    story
        .sign(&asked.approval_id, Decision::Approve, &mut phone)
        .await
        .unwrap();
    assert!(story.poll(&asked).await.is_ok());
    // Of another type it says nothing.
    let mut other = ask_of(&story.person);
    other.details = None;
    let other = approval::ask(&story.bench, &story.client, other)
        .await
        .unwrap();
    story
        .decide(&other.approval_id, Decision::Approve)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_policy_for_who_enrolled_leaves_the_others_alone() {
    let story = with(policy(None, passkey(PasskeyDemand::Enrolled))).await;
    let asked = asked_for(&story, "demonstration").await;
    story
        .decide(&asked.approval_id, Decision::Approve)
        .await
        .unwrap();
    story.enrol(&story.person).await;
    let asked = asked_for(&story, "demonstration").await;
    let plain = story.decide(&asked.approval_id, Decision::Approve).await;
    assert!(matches!(plain, Err(DecideError::NeedsPasskey)));
}

/// Signs as the person with this authenticator, number and all.
async fn sign(
    story: &Story,
    asked: &Asked,
    key: &mut VirtualAuthenticator,
) -> Result<approval::Approval, DecideError> {
    let approval = approval::get(&story.bench, &story.person.id, &asked.approval_id)
        .await
        .unwrap()
        .unwrap();
    let challenge = approval::challenge(&story.bench, &approval, Decision::Approve).hash();
    let answer = answer(key, &story.person, &challenge);
    let mut decide = choice(&story.person, &asked.approval_id, Decision::Approve);
    decide.number.clone_from(&asked.matching_number);
    approval::decide_signed(&story.bench, decide, answer).await
}

#[tokio::test]
async fn a_passkey_that_can_be_copied_is_none_that_stays_on_its_device() {
    let story = with(policy(Some("payment"), passkey(PasskeyDemand::DeviceBound))).await;
    let asked = asked_for(&story, "payment").await;
    let mut synced = story.enrol_with(&story.person, true).await;
    // Only those that will do are asked for.
    let page = async || {
        let approval = approval::get(&story.bench, &story.person.id, &asked.approval_id).await;
        let approval = approval.unwrap().unwrap();
        approval::signing(&story.bench, &approval).await.unwrap()
    };
    let signing = page().await;
    assert!(signing.needed && signing.device_bound && signing.challenge.is_none());
    let refused = sign(&story, &asked, &mut synced).await;
    assert!(matches!(refused, Err(DecideError::NeedsDeviceBound)));
    let mut key = story.enrol_next(&story.person, &mut synced).await;
    assert_eq!(page().await.challenge.unwrap().allow.len(), 1);
    sign(&story, &asked, &mut key).await.unwrap();
    assert!(story.poll(&asked).await.is_ok());
}

#[tokio::test]
async fn a_number_must_be_the_one_that_the_agent_shows() {
    let demands = Demands {
        match_number: true,
        ..Demands::default()
    };
    let story = with(policy(None, demands)).await;
    let asked = asked_for(&story, "demonstration").await;
    let number = asked.matching_number.clone().unwrap();
    assert_eq!(number.len(), 2);
    // None typed is no try.
    for _ in 0..5 {
        let none = approve_with(&story, &asked, None).await;
        assert!(matches!(none, Err(DecideError::WrongNumber { left: 3 })));
    }
    let wrong = if number == "00" { "01" } else { "00" };
    for left in [2, 1] {
        let refused = approve_with(&story, &asked, Some(wrong)).await;
        assert!(matches!(refused, Err(DecideError::WrongNumber { left: at }) if at == left));
    }
    approve_with(&story, &asked, Some(&number)).await.unwrap();
    assert!(story.poll(&asked).await.is_ok());

    let asked = asked_for(&story, "demonstration").await;
    let number = asked.matching_number.clone().unwrap();
    let wrong = if number == "00" { "01" } else { "00" };
    // However many are tried at once.
    let tries = (0..20).map(|_| approve_with(&story, &asked, Some(wrong)));
    for tried in futures::future::join_all(tries).await {
        assert!(matches!(
            tried,
            Err(DecideError::WrongNumber { .. } | DecideError::AlreadyDecided { .. })
        ));
    }
    let late = approve_with(&story, &asked, Some(&number)).await;
    assert!(matches!(
        late,
        Err(DecideError::AlreadyDecided {
            state: State::Denied
        })
    ));
    assert!(matches!(
        story.poll(&asked).await,
        Err(RedeemError::AccessDenied {
            reason: "wrong_number",
            ..
        })
    ));
}

#[tokio::test]
async fn what_a_policy_forbids_nobody_is_asked_for() {
    let forbidden = Demands {
        forbidden: true,
        ..Demands::default()
    };
    let story = story().await;
    let earlier = asked_for(&story, "payment").await;
    let admin = admin(&story).await;
    policies::add(&story.bench, &admin.id, policy(Some("payment"), forbidden))
        .await
        .unwrap();
    let mut ask = ask_of(&story.person);
    ask.details =
        Some(json!([{"type": "payment", "amount": "1", "currency": "EUR", "payee": "A"}]));
    let refused = approval::ask(&story.bench, &story.client, ask)
        .await
        .err()
        .unwrap();
    assert!(matches!(refused, AskError::BlockedByPolicy));
    assert_eq!(refused.code(), ("access_denied", 403));
    assert_eq!(refused.reason(), Some("blocked_by_policy"));
    // One that waits can only be denied.
    let plain = story.decide(&earlier.approval_id, Decision::Approve).await;
    assert!(matches!(plain, Err(DecideError::Forbidden)));
    story
        .decide(&earlier.approval_id, Decision::Deny)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_request_that_nobody_had_a_device_for_says_so_as_it_runs_out() {
    for enrolled in [false, true] {
        let story = with(policy(None, passkey(PasskeyDemand::Always))).await;
        if enrolled {
            story.enrol(&story.person).await;
        }
        let asked = asked_for(&story, "demonstration").await;
        story.bench.advance(Duration::from_secs(301));
        let polled = story.poll(&asked).await;
        assert!(
            if enrolled {
                matches!(polled, Err(RedeemError::ExpiredToken))
            } else {
                matches!(polled, Err(RedeemError::NotEnrolled))
            },
            "{polled:?}"
        );
    }
}

#[tokio::test]
async fn a_policy_that_comes_later_counts_and_one_that_goes_later_does_not() {
    let story = story().await;
    let admin = admin(&story).await;
    let before = asked_for(&story, "demonstration").await;
    let new = policy(None, passkey(PasskeyDemand::Always));
    let made = policies::add(&story.bench, &admin.id, new).await.unwrap();
    let during = asked_for(&story, "demonstration").await;
    let plain = story.decide(&before.approval_id, Decision::Approve).await;
    assert!(matches!(plain, Err(DecideError::NeedsPasskey)));
    policies::remove(&story.bench, &admin.id, &made.id)
        .await
        .unwrap();
    let plain = story.decide(&during.approval_id, Decision::Approve).await;
    assert!(matches!(plain, Err(DecideError::NeedsPasskey)));
    story
        .decide(&before.approval_id, Decision::Approve)
        .await
        .unwrap();
    let after = asked_for(&story, "demonstration").await;
    story
        .decide(&after.approval_id, Decision::Approve)
        .await
        .unwrap();
}

#[tokio::test]
async fn policies_of_the_configuration_file_cannot_be_removed() {
    let mut new = policy(Some("demonstration"), passkey(PasskeyDemand::Always));
    new.name = "From the file".to_owned();
    let configured = policies::configured(vec![new.clone()]).unwrap();
    assert!(policies::configured(vec![new.clone(), new]).is_err());
    let bench = domain::testing::Bench::with_policies(configured).await;
    let story = story_on(bench).await;
    let admin = admin(&story).await;
    let asked = asked_for(&story, "demonstration").await;
    let plain = story.decide(&asked.approval_id, Decision::Approve).await;
    assert!(matches!(plain, Err(DecideError::NeedsPasskey)));
    let all = policies::list(&story.bench).await.unwrap().policies;
    assert_eq!(all.len(), 1);
    let gone = policies::remove(&story.bench, &admin.id, &all[0].id).await;
    assert!(matches!(gone, Err(PolicyError::NotFound)));
}

#[tokio::test]
async fn what_makes_no_sense_is_no_policy() {
    let story = story().await;
    let admin = admin(&story).await;
    let add = async |new| policies::add(&story.bench, &admin.id, new).await;
    let good = || policy(Some("payment"), passkey(PasskeyDemand::Always));
    let field = |outcome: Result<_, PolicyError>| match outcome {
        Err(PolicyError::Invalid(field, _)) => field,
        _ => "taken",
    };
    for name in ["", "\u{202e}", &"x".repeat(81)] {
        let mut new = good();
        new.name = name.to_owned();
        assert_eq!(field(add(new).await), "name");
    }
    let mut new = good();
    new.client_id = Some("cli_nobody".to_owned());
    assert_eq!(field(add(new).await), "client_id");
    assert_eq!(
        field(add(policy(Some("unheard_of"), passkey(PasskeyDemand::Always))).await),
        "details_type"
    );
    assert_eq!(
        field(add(policy(None, Demands::default())).await),
        "passkey"
    );
    add(good()).await.unwrap();
}

fn is_bad_set<T>(outcome: Result<T, AskError>) -> bool {
    matches!(
        outcome,
        Err(AskError::Storage(StorageError::BadRow {
            table: "approval_policies",
            ..
        }))
    )
}

#[tokio::test]
async fn policies_that_another_hand_weakened_are_missed() {
    for (sql, restarted) in [
        ("delete from approval_policies", true),
        ("update approval_policies set policies = '[]'", true),
        ("update approval_policies set version = 1", true),
        ("update approval_policies set version = 3", true),
        ("delete from approval_policies", false),
    ] {
        let story = story().await;
        let admin = admin(&story).await;
        for details_type in ["payment", "demonstration"] {
            let new = policy(Some(details_type), passkey(PasskeyDemand::Always));
            policies::add(&story.bench, &admin.id, new).await.unwrap();
        }
        let asked = asked_for(&story, "demonstration").await;
        story.tamper(sql).await;
        let story = if restarted {
            Story {
                bench: story.bench.restart().await,
                ..story
            }
        } else {
            story
        };
        let plain = story.decide(&asked.approval_id, Decision::Approve).await;
        assert!(matches!(plain, Err(DecideError::Storage(_))), "{sql}");
        if restarted {
            let next = approval::ask(&story.bench, &story.client, ask_of(&story.person)).await;
            assert!(is_bad_set(next), "{sql}");
        }
        let more = policy(None, passkey(PasskeyDemand::Enrolled));
        let added = policies::add(&story.bench, &admin.id, more).await;
        assert!(matches!(added, Err(PolicyError::Storage(_))), "{sql}");
    }
}

#[tokio::test]
async fn an_older_set_that_is_put_back_is_missed() {
    let story = story().await;
    let admin = admin(&story).await;
    let add = async |details_type| {
        let new = policy(Some(details_type), passkey(PasskeyDemand::Always));
        policies::add(&story.bench, &admin.id, new).await.unwrap();
    };
    add("payment").await;
    let sql = "select version, policies, mac, mac_key from approval_policies";
    let mut reader = story.bench.store.reader().await.unwrap();
    let row = reader.optional(sql, vec![]).await.unwrap().unwrap();
    drop(reader);
    let older: Vec<Value> = vec![
        row.get::<i64>("version").unwrap().into(),
        row.get::<String>("policies").unwrap().into(),
        row.get::<Vec<u8>>("mac").unwrap().into(),
        row.get::<String>("mac_key").unwrap().into(),
    ];
    add("demonstration").await;
    let asked = asked_for(&story, "demonstration").await;
    let put_back = story.bench.store.write(move |tx| {
        let older = older.clone();
        let sql =
            "update approval_policies set version = $1, policies = $2, mac = $3, mac_key = $4";
        Box::pin(async move { tx.execute(sql, older).await })
    });
    assert_eq!(
        put_back.await.map_err(|error: StorageError| error).unwrap(),
        1
    );
    let plain = story.decide(&asked.approval_id, Decision::Approve).await;
    assert!(matches!(plain, Err(DecideError::Storage(_))));
    let bench = story.bench.restart().await;
    let next = approval::ask(&bench, &story.client, ask_of(&story.person)).await;
    assert!(is_bad_set(next));
}

#[tokio::test]
async fn what_was_in_force_cannot_be_taken_out_of_the_row() {
    for sql in [
        "update approvals set in_force = null",
        "update approvals set in_force = '{}'",
        "update approvals set in_force = '{\"policies\":[\"Careful\"]}'",
    ] {
        let demands = Demands {
            passkey: PasskeyDemand::DeviceBound,
            match_number: true,
            ..Demands::default()
        };
        let story = with(policy(None, demands)).await;
        let mut key = story.enrol(&story.person).await;
        let asked = asked_for(&story, "payment").await;
        sign(&story, &asked, &mut key).await.unwrap();
        story.tamper(sql).await;
        assert!(
            matches!(story.poll(&asked).await, Err(RedeemError::Storage(_))),
            "{sql}"
        );
    }
}

#[tokio::test]
async fn a_policy_is_held_against_what_was_asked_of_late() {
    let story = story().await;
    let admin = admin(&story).await;
    let mut phone = story.enrol_with(&story.person, true).await;
    for approve in [true, true, false] {
        let asked = asked_for(&story, "payment").await;
        if approve {
            story
                .sign(&asked.approval_id, Decision::Approve, &mut phone)
                .await
                .unwrap();
        }
    }
    let light = asked_for(&story, "demonstration").await;
    story
        .decide(&light.approval_id, Decision::Approve)
        .await
        .unwrap();
    let of = async |new| {
        let made = policies::add(&story.bench, &admin.id, new).await.unwrap();
        let past = policies::past(&story.bench, &[made]).await.unwrap()[0];
        (past.looked_at, past.covered, past.with_less)
    };
    let payment = |demand| policy(Some("payment"), passkey(demand));
    assert_eq!(of(payment(PasskeyDemand::Always)).await, (4, 3, 0));
    assert_eq!(of(payment(PasskeyDemand::DeviceBound)).await, (4, 3, 2));
    assert_eq!(
        of(policy(None, passkey(PasskeyDemand::Always))).await,
        (4, 4, 1)
    );
    let numbers = Demands {
        match_number: true,
        ..Demands::default()
    };
    assert_eq!(of(policy(None, numbers)).await, (4, 4, 3));
}
