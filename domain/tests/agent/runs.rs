use domain::agent::{RunState, StepState, WaitKind, runs};
use domain::approval::{self, CallState, Decision, State};
use domain::vault::permissions;
use sandbox::{Fault, Provider, Target, Times};

use crate::house::{House, approval_of, rows, text};

const POST: &str = "post “release 2.1 is out” to #general";

#[tokio::test]
async fn a_run_waits_for_consent_account_and_permission_and_goes_on_by_itself() {
    let house = House::new().await;
    let run = house.run("list my Slack channels").await;
    let run = house.until_state(&run.id, RunState::WaitingConsent).await;
    let waiting = run.waiting_for.clone().unwrap();
    assert_eq!(waiting.link, format!("/agent/allow?run={}", run.id));
    assert_eq!(house.allow(Some(&run.id), &[]).await, Some(run.id.clone()));

    let run = house.until_state(&run.id, RunState::WaitingAccount).await;
    let waiting = run.waiting_for.clone().unwrap();
    assert_eq!(waiting.words, "Link Slack");
    assert!(
        waiting
            .link
            .starts_with("/accounts/link/sign-in-with-slack?")
    );
    assert!(waiting.link.contains(&run.id), "{}", waiting.link);
    let account = house.link(Provider::Slack).await;

    // Run and steps are read one after the other: each link wakes the run again,
    // and it may be looking while we do.
    let rests = |run: &runs::Run| {
        run.state == RunState::WaitingPermission && run.steps[0].state == StepState::Waiting
    };
    let run = house.until(&run.id, rests).await;
    house.allow(Some(&run.id), &[&account]).await;

    let run = house.until(&run.id, |run| run.state.is_over()).await;
    assert_eq!(run.state, RunState::Done);
    assert_eq!(rows(&run)[0][0], "#general");
    assert_eq!(run.steps.len(), 1);
    assert_eq!(run.steps[0].state, StepState::Done);
    assert!(run.waiting_for.is_none());
    assert_eq!(house.events("run.ended").await, 1);
}

#[tokio::test]
async fn everything_that_only_reads_is_answered_in_rows() {
    let house = House::new().await;
    for provider in Provider::ALL {
        house.ready(provider).await;
    }
    for (sentence, column, wanted) in [
        (
            "show the last messages in #general",
            2,
            "The notes are ready, I only need a date.",
        ),
        ("what is on my calendar today", 1, "Release review"),
        ("what is on my calendar tomorrow", 1, "Budget for next year"),
    ] {
        let run = house.run(sentence).await;
        let run = house.until(&run.id, |run| run.state.is_over()).await;
        assert_eq!(run.state, RunState::Done, "{run:?}");
        assert!(
            rows(&run).iter().any(|row| row[column] == wanted),
            "{run:?}"
        );
    }
    for sentence in [
        "list my latest mails",
        "show my open Salesforce opportunities",
    ] {
        let run = house.run(sentence).await;
        let run = house.until(&run.id, |run| run.state.is_over()).await;
        assert!(!rows(&run).is_empty(), "{run:?}");
        assert!(rows(&run).iter().all(|row| !row[0].is_empty()));
    }
}

#[tokio::test]
async fn a_message_is_posted_once_after_the_person_approved_exactly_it() {
    let house = House::new().await;
    let account = house.ready(Provider::Slack).await;
    let run = house.run(POST).await;
    let run = house.until_state(&run.id, RunState::WaitingApproval).await;
    assert_eq!(house.posts(), 0);
    let id = approval_of(&run);
    let asked = approval::get(&house, &house.ada.id, &id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(asked.run_id.as_deref(), Some(run.id.as_str()));
    assert_eq!(asked.account_id.as_deref(), Some(account.id.as_str()));
    assert_eq!(asked.binding_message.as_deref(), Some("Post to #general"));
    assert_eq!(asked.shown.title, "Post a message to Slack");
    assert_eq!(asked.shown.fields[0].value, "release 2.1 is out");
    assert_eq!(asked.shown.fields[1].value, "#general");
    assert_eq!(asked.shown.enforced_by, approval::EnforcedBy::Attorn);

    house.decide(&id, Decision::Approve).await;
    let run = house.until(&run.id, |run| run.state.is_over()).await;
    assert_eq!(
        (run.state, text(&run)),
        (RunState::Done, "Posted to #general.")
    );
    let posted = house.control.posted_messages();
    assert_eq!(posted.len(), 1);
    assert_eq!(
        (posted[0].channel_name.as_str(), posted[0].text.as_str()),
        ("general", "release 2.1 is out")
    );
    assert_eq!(house.posts(), 1);
    let used = approval::get(&house, &house.ada.id, &id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(used.state, State::Consumed);
    assert_eq!(used.outcome.unwrap().state, CallState::Done);
    assert_eq!(
        run.steps.iter().map(|step| step.state).collect::<Vec<_>>(),
        [StepState::Done, StepState::Done]
    );
}

#[tokio::test]
async fn a_waiting_run_is_left_alone_until_something_changes() {
    let house = House::new().await;
    house.ready(Provider::Slack).await;
    let run = house.run(POST).await;
    house.until_state(&run.id, RunState::WaitingApproval).await;
    let refused = house.run("list my mails").await;
    house
        .until_state(&refused.id, RunState::WaitingAccount)
        .await;
    let before = house.events("token.issued").await;
    for _ in 0..20 {
        let other = house.run("list my Slack channels").await;
        house.until(&other.id, |run| run.state.is_over()).await;
    }
    // One token for each run, and one for each that waits: what happened just
    // before it waited may wake it once more.
    let issued = house.events("token.issued").await - before;
    assert!((20..=22).contains(&issued), "{issued} tokens");
}

#[tokio::test]
async fn what_the_person_denies_is_not_done() {
    let house = House::new().await;
    house.ready(Provider::Slack).await;
    let run = house.run(POST).await;
    let run = house.until_state(&run.id, RunState::WaitingApproval).await;
    house.decide(&approval_of(&run), Decision::Deny).await;
    let run = house.until(&run.id, |run| run.state.is_over()).await;
    assert_eq!(
        (run.state, text(&run)),
        (RunState::Denied, "You denied this. Nothing was posted.")
    );
    assert_eq!(house.posts(), 0);
}

#[tokio::test]
async fn what_nobody_decides_expires_and_says_so() {
    let house = House::new().await;
    house.ready(Provider::Slack).await;
    let run = house.run(POST).await;
    let run = house.until_state(&run.id, RunState::WaitingApproval).await;
    house.pass(15 * 60);
    approval::expire_due(&house).await.unwrap();
    let run = house.until(&run.id, |run| run.state.is_over()).await;
    assert_eq!(
        (run.state, text(&run)),
        (
            RunState::Expired,
            "Nobody decided in time. Nothing was posted."
        )
    );
    assert_eq!(house.posts(), 0);
}

#[tokio::test]
async fn a_lost_answer_is_told_as_unknown_and_never_sent_again() {
    let house = House::new().await;
    house.ready(Provider::Slack).await;
    let run = house.run(POST).await;
    let run = house.until_state(&run.id, RunState::WaitingApproval).await;
    let fault = Fault::AnswerLostAfterRotation;
    house
        .control
        .set_fault_on(Provider::Slack, Target::Api, fault, Times::Once);
    let id = approval_of(&run);
    house.decide(&id, Decision::Approve).await;
    let run = house.until(&run.id, |run| run.state.is_over()).await;
    assert_eq!(run.state, RunState::Failed);
    assert!(
        text(&run).contains("whether the message was posted is not known"),
        "{}",
        text(&run)
    );
    assert_eq!(run.steps[1].state, StepState::Unknown);
    assert_eq!(house.posts(), 1);
    let house = house.restart().await;
    house.pass(3600);
    let run = house.until(&run.id, |run| run.state.is_over()).await;
    assert_eq!(run.state, RunState::Failed);
    assert_eq!(house.posts(), 1);
    let used = approval::get(&house, &house.ada.id, &id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(used.outcome.unwrap().state, CallState::Unknown);
}

#[tokio::test]
async fn a_waiting_run_survives_a_restart() {
    let house = House::new().await;
    house.ready(Provider::Slack).await;
    let run = house.run(POST).await;
    let run = house.until_state(&run.id, RunState::WaitingApproval).await;
    let id = approval_of(&run);
    let stage = house.stop().await;
    let house = House::of(stage).restart().await;
    // Whatever lease the old one left on a shared database runs out.
    house.pass(200);
    house.decide(&id, Decision::Approve).await;
    let run = house.until(&run.id, |run| run.state.is_over()).await;
    assert_eq!(run.state, RunState::Done, "{run:?}");
    assert_eq!(house.posts(), 1);
}

#[tokio::test]
async fn a_decision_made_while_the_program_was_down_is_noticed() {
    let house = House::new().await;
    house.ready(Provider::Slack).await;
    let run = house.run(POST).await;
    let run = house.until_state(&run.id, RunState::WaitingApproval).await;
    let id = approval_of(&run);
    let stage = house.stop().await;
    let idle = House::of(stage);
    let stage = {
        // The decision comes in while nobody drives.
        let stage = idle.stop().await;
        let decide = approval::Decide {
            approval_id: id,
            person_id: stage.ada.id.clone(),
            decision: Decision::Approve,
            channel: approval::Channel::Browser,
            address: None,
            user_agent: None,
            number: None,
        };
        approval::decide(&stage, decide).await.unwrap();
        stage
    };
    let house = House::of(stage);
    let run = house.until(&run.id, |run| run.state.is_over()).await;
    assert_eq!(run.state, RunState::Done, "{run:?}");
    assert_eq!(house.posts(), 1);
}

#[tokio::test]
async fn a_post_found_begun_after_a_crash_is_unknown_and_not_begun_again() {
    let house = House::new().await;
    house.ready(Provider::Slack).await;
    let run = house.run(POST).await;
    let run = house.until_state(&run.id, RunState::WaitingApproval).await;
    let stage = house.stop().await;
    // As a process leaves it that died between noting the step and noting the
    // answer. The lease comes first and is a living one: a write that the stopped
    // driver had already handed over finds the run in other hands.
    let died = format!("{}/died", stage.settings.instance);
    let lease = stage.now() + 1_000_000;
    stage
        .sql(
            "update runs set state = 'running', holder = $2, lease_until = $3 where id = $1",
            vec![(&run.id).into(), died.into(), lease.into()],
        )
        .await;
    stage
        .sql(
            "insert into steps (run_id, position, tool, input, state, started_at) values ($1, 1, 'slack.post', 'x', 'running', 1)",
            vec![(&run.id).into()],
        )
        .await;
    let house = House::of(stage);
    let run = house.until(&run.id, |run| run.state.is_over()).await;
    assert_eq!(run.state, RunState::Failed);
    assert!(text(&run).contains("is not known"), "{}", text(&run));
    assert_eq!(house.posts(), 0);
}

#[tokio::test]
async fn a_run_in_other_hands_is_left_alone() {
    let house = House::new().await;
    house.ready(Provider::Slack).await;
    let run = house.run(POST).await;
    let run = house.until_state(&run.id, RunState::WaitingApproval).await;
    let later = house.now() + 1_000_000;
    house
        .sql(
            "update runs set holder = 'another', lease_until = $2 where id = $1",
            vec![(&run.id).into(), later.into()],
        )
        .await;
    house.decide(&approval_of(&run), Decision::Approve).await;
    // Something else that was asked later is done; so the driver had its turn.
    let other = house.run("list my Slack channels").await;
    house.until(&other.id, |run| run.state.is_over()).await;
    let run = runs::get(&house, &house.ada.id, &run.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(run.state, RunState::WaitingApproval);
    assert_eq!(house.posts(), 0);
}

#[tokio::test]
async fn a_stopped_run_takes_its_request_back() {
    let house = House::new().await;
    house.ready(Provider::Slack).await;
    let run = house.run(POST).await;
    let run = house.until_state(&run.id, RunState::WaitingApproval).await;
    let stranger = house.bench.person("stranger@example.com").await;
    let foreign = runs::cancel(&house, &stranger.id, &run.id).await;
    assert!(matches!(foreign, Err(runs::Error::NotFound)));
    let stopped = runs::cancel(&house, &house.ada.id, &run.id).await.unwrap();
    assert_eq!(stopped.state, RunState::Cancelled);
    let asked = approval::get(&house, &house.ada.id, &approval_of(&run))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(asked.state, State::Cancelled);
    let again = runs::cancel(&house, &house.ada.id, &run.id).await;
    assert!(matches!(
        again,
        Err(runs::Error::Over {
            state: RunState::Cancelled
        })
    ));
}

#[tokio::test]
async fn a_permission_taken_back_stops_the_agent_at_the_next_call() {
    let house = House::new().await;
    let account = house.ready(Provider::Slack).await;
    let given = permissions::list_for_person(&house, &house.ada.id)
        .await
        .unwrap();
    permissions::revoke(&house, &house.ada.id, &given[0].id)
        .await
        .unwrap();
    for sentence in ["list my Slack channels", POST] {
        let run = house.run(sentence).await;
        let run = house
            .until_state(&run.id, RunState::WaitingPermission)
            .await;
        let waiting = run.waiting_for.clone().unwrap();
        assert_eq!(waiting.kind, WaitKind::Permission);
        assert_eq!(waiting.words, "Allow the agent to use Slack");
        runs::cancel(&house, &house.ada.id, &run.id).await.unwrap();
    }
    let run = house.run("list my Slack channels").await;
    house
        .until_state(&run.id, RunState::WaitingPermission)
        .await;
    house.allow(Some(&run.id), &[&account]).await;
    let run = house.until(&run.id, |run| run.state.is_over()).await;
    assert_eq!(run.state, RunState::Done);
}

#[tokio::test]
async fn a_channel_that_is_not_there_is_told_and_nothing_is_posted() {
    let house = House::new().await;
    house.ready(Provider::Slack).await;
    let run = house.run("show the last messages in #nowhere").await;
    let run = house.until(&run.id, |run| run.state.is_over()).await;
    assert_eq!(
        (run.state, text(&run)),
        (
            RunState::Failed,
            "There is no channel #nowhere that you can see."
        )
    );
    let run = house.run("post 'hi' to #nowhere").await;
    let run = house.until_state(&run.id, RunState::WaitingApproval).await;
    house.decide(&approval_of(&run), Decision::Approve).await;
    let run = house.until(&run.id, |run| run.state.is_over()).await;
    assert_eq!(
        text(&run),
        "Slack refused: channel_not_found. Nothing was posted."
    );
}

#[tokio::test]
async fn the_demonstration_asks_and_then_does_nothing() {
    let house = House::new().await;
    house.ready(Provider::Slack).await;
    let run = house.run("deploy billing 2.1").await;
    let run = house.until_state(&run.id, RunState::WaitingApproval).await;
    let asked = approval::get(&house, &house.ada.id, &approval_of(&run))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(asked.shown.enforced_by, approval::EnforcedBy::Agent);
    house.decide(&asked.id, Decision::Approve).await;
    let run = house.until(&run.id, |run| run.state.is_over()).await;
    assert_eq!(run.state, RunState::Done);
    assert!(text(&run).ends_with("nothing was deployed."));
}

#[tokio::test]
async fn a_sentence_without_a_rule_starts_nothing() {
    let house = House::new().await;
    let refused = runs::start(&house, &house.ada.id, "make me rich")
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("list my Slack channels"),
        "{refused}"
    );
    assert!(matches!(
        runs::start(&house, &house.ada.id, "  ").await,
        Err(runs::Error::Length)
    ));
    assert_eq!(runs::list(&house, &house.ada.id, 10).await.unwrap(), []);
}

#[tokio::test]
async fn a_persons_runs_are_theirs_alone() {
    let house = House::new().await;
    let stranger = house.bench.person("stranger@example.com").await;
    let first = house.run("list my Slack channels").await;
    let second = house.run("list my latest mails").await;
    let ids: Vec<String> = runs::list(&house, &house.ada.id, 10)
        .await
        .unwrap()
        .into_iter()
        .map(|run| run.id)
        .collect();
    assert_eq!(ids.len(), 2);
    assert!(ids.contains(&first.id) && ids.contains(&second.id));
    assert_eq!(
        runs::get(&house, &stranger.id, &first.id).await.unwrap(),
        None
    );
    assert_eq!(runs::list(&house, &stranger.id, 10).await.unwrap(), []);
}
