//! Policies that cover what the agent calls: it asks by itself.

use domain::agent::RunState;
use domain::approval::policies::{self, CoveredCalls, NewPolicy, Rule};
use domain::approval::{self, Decision, State};
use sandbox::Provider;

use crate::house::{House, approval_of, rows, text};

async fn covering(path: &str) -> House {
    let house = House::new().await;
    house.ready(Provider::Slack).await;
    let admin = house.bench.admin("root@example.com").await;
    let new = NewPolicy {
        name: "Ask first".to_owned(),
        client_id: None,
        rule: Rule::Calling(CoveredCalls {
            connection: "sign-in-with-slack".to_owned(),
            methods: Vec::new(),
            path: path.to_owned(),
        }),
    };
    policies::add(&house, &admin.id, new).await.unwrap();
    house
}

#[tokio::test]
async fn the_agent_asks_for_the_approval_that_a_policy_wants_and_goes_on() {
    let house = covering("/conversations.list").await;
    let run = house.run("list my Slack channels").await;
    let run = house.until_state(&run.id, RunState::WaitingApproval).await;
    let id = approval_of(&run);
    let asked = approval::get(&house, &house.ada.id, &id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(asked.details_type.as_deref(), Some("call"));
    assert_eq!(asked.run_id.as_deref(), Some(run.id.as_str()));
    house.decide(&id, Decision::Approve).await;
    let run = house.until(&run.id, |run| run.state.is_over()).await;
    assert_eq!(run.state, RunState::Done, "{run:?}");
    assert!(!rows(&run).is_empty());
    let used = approval::get(&house, &house.ada.id, &id).await.unwrap();
    assert_eq!(used.unwrap().state, State::Consumed);
    // The next run needs its own, and what is denied is not read.
    let run = house.run("list my Slack channels").await;
    let run = house.until_state(&run.id, RunState::WaitingApproval).await;
    house.decide(&approval_of(&run), Decision::Deny).await;
    let run = house.until(&run.id, |run| run.state.is_over()).await;
    assert_eq!(
        (run.state, text(&run)),
        (RunState::Denied, "You denied this. Nothing was read.")
    );
}

#[tokio::test]
async fn the_agent_says_so_where_it_would_take_two_approvals_in_a_row() {
    let house = covering("*").await;
    let run = house.run("show the last messages in #general").await;
    for _ in 0..2 {
        let run = house.until_state(&run.id, RunState::WaitingApproval).await;
        if run.state.is_over() {
            break;
        }
        let id = approval_of(&run);
        house.decide(&id, Decision::Approve).await;
        house
            .until(&run.id, |run| {
                run.state.is_over()
                    || run.state == RunState::WaitingApproval && approval_of(run) != id
            })
            .await;
    }
    let run = house.until(&run.id, |run| run.state.is_over()).await;
    assert_eq!(run.state, RunState::Failed);
    assert!(text(&run).contains("more than one approval"), "{run:?}");
}

#[tokio::test]
async fn posting_takes_one_approval_as_ever() {
    let house = covering("/chat.postMessage").await;
    let run = house.run("post \"release 2.1 is out\" to #general").await;
    let run = house.until_state(&run.id, RunState::WaitingApproval).await;
    house.decide(&approval_of(&run), Decision::Approve).await;
    let run = house.until(&run.id, |run| run.state.is_over()).await;
    assert_eq!(run.state, RunState::Done);
    assert_eq!(house.posts(), 1);
}
