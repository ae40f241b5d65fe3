//! "This path needs an approval": no call, and no token, walks around it.

use bytes::Bytes;
use domain::approval::policies::{self, CoveredCalls, NewPolicy, Policy, Rule};
use domain::approval::{self, Ask, Channel, Decide, Decision, PersonHint};
use domain::oauth::{Client, RequestHead};
use domain::secret::Secret;
use domain::vault::proxy::{self, Error, ProxyRequest};
use domain::vault::{self, AccessMode, Release, release};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use sandbox::Provider;
use serde_json::{Value, json};

use crate::permission::give;
use crate::stage::Stage;

const SLACK: &str = "sign-in-with-slack";

async fn needs(stage: &Stage, client: Option<&Client>, methods: &[&str], path: &str) -> Policy {
    let admin = match domain::identity::person_by_email(stage, "root@example.com").await {
        Ok(Some(admin)) => admin,
        _ => stage.bench.admin("root@example.com").await,
    };
    let new = NewPolicy {
        name: "Ask first".to_owned(),
        client_id: client.map(|client| client.id.clone()),
        rule: Rule::Calling(CoveredCalls {
            connection: SLACK.to_owned(),
            methods: methods.iter().map(|text| (*text).to_owned()).collect(),
            path: path.to_owned(),
        }),
    };
    policies::add(stage, &admin.id, new).await.unwrap()
}

fn request(method: Method, path: &str, body: &'static str) -> ProxyRequest {
    let mut headers = HeaderMap::new();
    if !body.is_empty() {
        let json = HeaderValue::from_static("application/json");
        headers.insert(header::CONTENT_TYPE, json);
    }
    ProxyRequest {
        connection: SLACK.to_owned(),
        host: None,
        method,
        path_and_query: path.to_owned(),
        headers,
        body: Bytes::from_static(body.as_bytes()),
    }
}

const MESSAGE: &str = r#"{"channel":"general","text":"release 2.1 is out"}"#;

fn post() -> ProxyRequest {
    request(Method::POST, "/chat.postMessage", MESSAGE)
}

fn list() -> ProxyRequest {
    request(Method::GET, "/conversations.list?limit=5", "")
}

struct Agent {
    stage: Stage,
    client: Client,
    token: Secret<String>,
}

async fn agent(mode: AccessMode) -> Agent {
    let stage = Stage::new().await;
    let (client, _) = stage.bench.client("Agent").await;
    stage.bench.tokens(&client, &stage.ada, "openid").await;
    let account = stage.link(Provider::Slack).await;
    give(&stage, &client.id, &account, mode).await;
    let audience = stage.settings.proxy_audience();
    let token = stage
        .bench
        .access_token(&client, Some(&stage.ada), &audience, &[]);
    Agent {
        stage,
        client,
        token,
    }
}

impl Agent {
    async fn call(&self, request: ProxyRequest) -> Result<proxy::ProxyAnswer, Error> {
        proxy::call(
            &self.stage,
            &RequestHead::bearer(self.token.expose()),
            request,
        )
        .await
    }

    async fn wanted(&self, request: ProxyRequest) -> Option<Value> {
        match self.call(request).await {
            Err(Error::ApprovalRequired { policy, details }) => {
                assert_eq!(policy, "Ask first");
                details
            }
            Ok(answer) => panic!("it went through: {}", answer.status),
            Err(error) => panic!("{error}"),
        }
    }

    /// Asks for what the proxy said, has it approved, and sends the call again.
    async fn with_approval(&self, details: Value, request: ProxyRequest) -> StatusCode {
        let stage = &self.stage;
        let ask = Ask {
            person: PersonHint::Id(stage.ada.id.clone()),
            scopes: vec!["openid".to_owned()],
            audience: None,
            binding_message: None,
            details: Some(details),
            requested_expiry_s: None,
            run_id: None,
        };
        let asked = approval::ask(stage, &self.client, ask).await.unwrap();
        let decide = Decide {
            approval_id: asked.approval_id,
            person_id: stage.ada.id.clone(),
            decision: Decision::Approve,
            channel: Channel::Browser,
            address: None,
            user_agent: None,
            number: None,
        };
        approval::decide(stage, decide).await.unwrap();
        let redeemed =
            approval::poll_and_redeem(stage, &self.client.id, asked.auth_req_id.expose())
                .await
                .unwrap();
        let audience = stage.settings.proxy_audience();
        let token = stage.bench.approved_token(
            &self.client,
            Some(&stage.ada),
            &audience,
            &[],
            Some(&redeemed.id),
        );
        let sent = proxy::call(stage, &RequestHead::bearer(token.expose()), request).await;
        sent.unwrap().status
    }
}

#[tokio::test]
async fn a_covered_call_says_what_to_ask_for_and_passes_with_that() {
    let agent = agent(AccessMode::Call).await;
    needs(&agent.stage, None, &[], "/chat.postMessage").await;
    assert_eq!(agent.call(list()).await.unwrap().status, StatusCode::OK);
    let details = agent.wanted(post()).await.unwrap();
    assert_eq!(
        details,
        json!([{"type": "slack_message", "connection": SLACK, "channel": "general", "text": "release 2.1 is out"}])
    );
    assert!(agent.stage.control.posted_messages().is_empty());
    assert_eq!(agent.stage.events("call.refused").await, 1);
    assert_eq!(agent.with_approval(details, post()).await, StatusCode::OK);
    assert_eq!(agent.stage.control.posted_messages().len(), 1);
    // Once: the next one needs its own.
    agent.wanted(post()).await;
}

#[tokio::test]
async fn a_call_that_no_other_type_can_express_is_asked_for_as_a_call() {
    let agent = agent(AccessMode::Call).await;
    needs(&agent.stage, None, &["GET"], "/conversations.*").await;
    let details = agent.wanted(list()).await.unwrap();
    assert_eq!(
        details,
        json!([{"type": "call", "connection": SLACK, "method": "GET", "path": "/conversations.list", "query": "limit=5"}])
    );
    assert_eq!(agent.with_approval(details, list()).await, StatusCode::OK);
}

#[tokio::test]
async fn no_spelling_of_a_covered_path_passes() {
    let agent = agent(AccessMode::Call).await;
    needs(&agent.stage, None, &["POST"], "/chat.postMessage").await;
    for path in [
        "/chat.postMessage/",
        "/chat.postmessage",
        "/chat.post%4dessage",
        "/chat.postMessage?x=1",
        "/chat.postMessage;x",
    ] {
        agent.wanted(request(Method::POST, path, MESSAGE)).await;
    }
    assert!(agent.stage.control.posted_messages().is_empty());
}

#[tokio::test]
async fn a_policy_of_another_client_or_connection_leaves_this_one_alone() {
    let agent = agent(AccessMode::Release).await;
    let (other, _) = agent.stage.bench.client("Other").await;
    needs(&agent.stage, Some(&other), &[], "*").await;
    agent.call(list()).await.unwrap();
    let admin = agent.stage.bench.admin("boss@example.com").await;
    let elsewhere = NewPolicy {
        name: "Elsewhere".to_owned(),
        client_id: None,
        rule: Rule::Calling(CoveredCalls {
            connection: "nowhere".to_owned(),
            methods: Vec::new(),
            path: "*".to_owned(),
        }),
    };
    let refused = policies::add(&agent.stage, &admin.id, elsewhere).await;
    assert!(matches!(
        refused,
        Err(policies::PolicyError::Invalid("connection", _))
    ));
    released(&agent).await.unwrap();
}

async fn released(agent: &Agent) -> Result<vault::Released, vault::Error> {
    let ask = Release {
        client_id: agent.client.id.clone(),
        person_id: agent.stage.ada.id.clone(),
        connection: SLACK.to_owned(),
        login_hint: None,
        scopes: None,
        on_behalf: None,
    };
    release(&agent.stage, ask).await
}

#[tokio::test]
async fn while_a_policy_covers_the_account_no_token_of_it_leaves() {
    let agent = agent(AccessMode::Release).await;
    released(&agent).await.unwrap();
    let policy = needs(&agent.stage, Some(&agent.client), &[], "/chat.postMessage").await;
    let refused = released(&agent).await.err().unwrap();
    assert!(matches!(refused, vault::Error::ApprovalRequired { .. }));
    let wire = domain::oauth::exchange::refusal(refused);
    assert_eq!(
        (wire.code.word(), wire.status),
        ("federated_connection_permission_required", 403)
    );
    assert!(
        wire.members
            .contains(&("reason", "approval_required".to_owned()))
    );
    assert_eq!(agent.stage.events("token.release_refused").await, 1);
    let admin = agent.stage.bench.admin("boss@example.com").await;
    policies::remove(&agent.stage, &admin.id, &policy.id)
        .await
        .unwrap();
    released(&agent).await.unwrap();
}

#[tokio::test]
async fn policies_that_another_hand_took_out_stop_every_call() {
    let agent = agent(AccessMode::Release).await;
    needs(&agent.stage, None, &[], "/chat.postMessage").await;
    let gone = agent.stage.store.write(|tx| {
        Box::pin(async move { tx.execute("delete from approval_policies", vec![]).await })
    });
    let gone: Result<u64, domain::storage::Error> = gone.await;
    assert_eq!(gone.unwrap(), 1);
    let Agent {
        stage,
        client,
        token,
    } = agent;
    let Stage {
        bench,
        sandbox,
        control,
        ada,
    } = stage;
    let agent = Agent {
        stage: Stage {
            bench: bench.restart().await,
            sandbox,
            control,
            ada,
        },
        client,
        token,
    };
    let refused = agent.call(post()).await;
    assert!(matches!(
        refused,
        Err(Error::Vault(vault::Error::Storage(_)))
    ));
    assert!(matches!(
        released(&agent).await,
        Err(vault::Error::Storage(_))
    ));
    assert!(agent.stage.control.posted_messages().is_empty());
}

#[tokio::test]
async fn a_policy_of_calls_is_held_against_the_calls_of_late() {
    let agent = agent(AccessMode::Call).await;
    agent.call(list()).await.unwrap();
    agent.call(list()).await.unwrap();
    agent.call(post()).await.unwrap();
    let policy = needs(&agent.stage, None, &["GET"], "/conversations.*").await;
    let past = policies::past(&agent.stage, &[policy]).await.unwrap()[0];
    assert_eq!((past.looked_at, past.covered), (3, 2));
}
