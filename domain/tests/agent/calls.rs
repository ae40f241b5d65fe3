//! Approved calls of an agent outside, through the proxy.

use bytes::Bytes;
use domain::approval::{self, Ask, AskError, CallState, Channel, Decide, Decision, PersonHint};
use domain::oauth::token::{self, TokenRequest};
use domain::oauth::{Client, RequestHead};
use domain::secret::Secret;
use domain::vault::permissions::{self, Give};
use domain::vault::proxy::{self, ProxyAnswer, ProxyRequest};
use domain::vault::{AccessMode, Account};
use http::{HeaderMap, HeaderValue, Method, header};
use sandbox::{Fault, Provider, Target, Times};
use serde_json::json;

use crate::stage::Stage;

struct Outside {
    stage: Stage,
    client: Client,
    account: Account,
}

const BODY: &str = r#"{"channel":"ops","text":"deploying now"}"#;

impl Outside {
    async fn new() -> Self {
        let stage = Stage::new().await;
        let (client, _) = stage.bench.client("Outside agent").await;
        stage.bench.tokens(&client, &stage.ada, "openid").await;
        let account = stage.link(Provider::Slack).await;
        Self {
            stage,
            client,
            account,
        }
    }

    async fn permitted() -> Self {
        let outside = Self::new().await;
        let give = Give {
            person_id: outside.stage.ada.id.clone(),
            client_id: outside.client.id.clone(),
            account_id: outside.account.id.clone(),
            access_mode: AccessMode::Call,
            scopes: None,
            calls: None,
        };
        permissions::give(&outside.stage, give).await.unwrap();
        outside
    }

    async fn ask(&self) -> Result<approval::Asked, AskError> {
        let details = json!([{"type": "slack_message", "connection": "sign-in-with-slack",
            "channel": "#ops", "text": "deploying now"}]);
        let ask = Ask {
            person: PersonHint::Id(self.stage.ada.id.clone()),
            scopes: vec!["openid".to_owned(), "offline_access".to_owned()],
            audience: None,
            binding_message: None,
            details: Some(details),
            requested_expiry_s: None,
            run_id: None,
        };
        approval::ask(&self.stage, &self.client, ask).await
    }

    /// Asks, approves, redeems: the token, and the approval's id.
    async fn approved(&self) -> (Secret<String>, String) {
        let asked = self.ask().await.unwrap();
        let decide = Decide {
            approval_id: asked.approval_id.clone(),
            person_id: self.stage.ada.id.clone(),
            decision: Decision::Approve,
            channel: Channel::Browser,
            address: None,
            user_agent: None,
            number: None,
        };
        approval::decide(&self.stage, decide).await.unwrap();
        let request = TokenRequest::Ciba {
            auth_req_id: asked.auth_req_id,
            audience: None,
        };
        let answer = token::grant(&self.stage, request, &self.client, None)
            .await
            .unwrap();
        assert!(
            answer.refresh_token.is_none(),
            "an executable approval gives no refresh token"
        );
        (answer.access_token, asked.approval_id)
    }

    async fn call(
        &self,
        token: &Secret<String>,
        request: ProxyRequest,
    ) -> Result<ProxyAnswer, proxy::Error> {
        proxy::call(&self.stage, &RequestHead::bearer(token.expose()), request).await
    }

    fn posts(&self) -> usize {
        let all = self.stage.control.requests(Provider::Slack);
        all.iter()
            .filter(|request| request.path.ends_with("/chat.postMessage"))
            .count()
    }

    async fn outcome(&self, id: &str) -> Option<CallState> {
        let approval = approval::get(&self.stage, &self.stage.ada.id, id)
            .await
            .unwrap();
        approval.unwrap().outcome.map(|outcome| outcome.state)
    }
}

fn post(body: &str) -> ProxyRequest {
    let mut headers = HeaderMap::new();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    ProxyRequest {
        connection: "sign-in-with-slack".to_owned(),
        host: None,
        method: Method::POST,
        path_and_query: "/chat.postMessage".to_owned(),
        headers,
        body: Bytes::copy_from_slice(body.as_bytes()),
    }
}

#[tokio::test]
async fn the_approved_bytes_are_sent_once() {
    let outside = Outside::permitted().await;
    let (token, id) = outside.approved().await;
    let answer = outside.call(&token, post(BODY)).await.unwrap();
    assert!(answer.status.is_success());
    let sent = outside
        .stage
        .control
        .requests(Provider::Slack)
        .pop()
        .unwrap();
    assert_eq!(sent.text(), BODY);
    assert_eq!(
        sent.header("content-type"),
        Some("application/json; charset=utf-8")
    );
    assert_eq!(outside.outcome(&id).await, Some(CallState::Done));
    let again = outside.call(&token, post(BODY)).await;
    assert!(matches!(again, Err(proxy::Error::Approval(_))));
    assert_eq!(outside.posts(), 1);
    for kind in [
        "approval.requested",
        "approval.approved",
        "approval.consumed",
        "approval.call_sent",
        "approval.call_done",
    ] {
        assert_eq!(outside.stage.events(kind).await, 1, "{kind}");
    }
}

#[tokio::test]
async fn nothing_but_the_approved_request_passes_and_a_refusal_uses_nothing_up() {
    let outside = Outside::permitted().await;
    let (token, id) = outside.approved().await;
    let with = |change: &dyn Fn(&mut ProxyRequest)| {
        let mut request = post(BODY);
        change(&mut request);
        request
    };
    let others = [
        post(r#"{"text":"deploying now","channel":"ops"}"#),
        post(r#"{"channel":"general","text":"deploying now"}"#),
        post(r#"{"channel": "ops", "text": "deploying now"}"#),
        post(r#"{"channel":"ops","text":"deploying now","channel":"general"}"#),
        post("{\"channel\":\"ops\",\"text\":\"deploying now\"}\n"),
        with(&|request| request.method = Method::PUT),
        with(&|request| request.path_and_query = "/chat.postMessage?as_user=true".to_owned()),
        with(&|request| request.path_and_query = "/chat.update".to_owned()),
        with(&|request| request.path_and_query = "/x/../chat.postMessage".to_owned()),
        with(&|request| request.path_and_query = "/chat.post%4dessage".to_owned()),
        with(&|request| request.host = Some("slack.com".to_owned())),
        with(&|request| request.connection = "google-oauth2".to_owned()),
        with(&|request| request.headers.clear()),
        with(&|request| {
            request
                .headers
                .insert("x-http-method-override", HeaderValue::from_static("DELETE"));
        }),
        with(&|request| {
            request
                .headers
                .insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }),
    ];
    for request in others {
        let shown = format!(
            "{} {} {:?}",
            request.method, request.path_and_query, request.body
        );
        let refused = outside.call(&token, request).await;
        assert!(
            matches!(
                refused,
                Err(proxy::Error::Approval(_) | proxy::Error::Refused(_))
            ),
            "{shown}"
        );
    }
    assert_eq!(outside.posts(), 0);
    assert_eq!(outside.outcome(&id).await, None);
    assert!(outside.call(&token, post(BODY)).await.is_ok());
    assert_eq!(outside.posts(), 1);
}

#[tokio::test]
async fn of_a_hundred_uses_at_once_one_posts() {
    let outside = Outside::permitted().await;
    let (token, _) = outside.approved().await;
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (engine, token) = (outside.stage.bench.engine.clone(), token.clone());
        calls.spawn(async move {
            proxy::call(&engine, &RequestHead::bearer(token.expose()), post(BODY))
                .await
                .is_ok()
        });
    }
    let answers = calls.join_all().await;
    assert_eq!(answers.into_iter().filter(|posted| *posted).count(), 1);
    assert_eq!(outside.posts(), 1);
    assert_eq!(outside.stage.control.posted_messages().len(), 1);
}

#[tokio::test]
async fn ten_minutes_after_the_decision_the_window_closes() {
    let outside = Outside::permitted().await;
    let asked = outside.ask().await.unwrap();
    let decide = Decide {
        approval_id: asked.approval_id.clone(),
        person_id: outside.stage.ada.id.clone(),
        decision: Decision::Approve,
        channel: Channel::Browser,
        address: None,
        user_agent: None,
        number: None,
    };
    approval::decide(&outside.stage, decide).await.unwrap();
    let client = &outside.client.id;
    approval::poll_and_redeem(&outside.stage, client, asked.auth_req_id.expose())
        .await
        .unwrap();
    outside.stage.pass(601);
    let audience = outside.stage.settings.proxy_audience();
    // A token issued later than any real one would be.
    let token = outside.stage.bench.approved_token(
        &outside.client,
        Some(&outside.stage.ada),
        &audience,
        &[],
        Some(&asked.approval_id),
    );
    let late = outside.call(&token, post(BODY)).await;
    assert!(matches!(&late, Err(proxy::Error::Approval(why)) if why.contains("over")));
    assert_eq!(outside.posts(), 0);
}

#[tokio::test]
async fn a_token_of_an_approval_that_was_not_redeemed_is_good_for_nothing() {
    let outside = Outside::permitted().await;
    let asked = outside.ask().await.unwrap();
    let audience = outside.stage.settings.proxy_audience();
    let token = outside.stage.bench.approved_token(
        &outside.client,
        Some(&outside.stage.ada),
        &audience,
        &[],
        Some(&asked.approval_id),
    );
    let refused = outside.call(&token, post(BODY)).await;
    assert!(matches!(refused, Err(proxy::Error::Approval(_))));
    assert_eq!(outside.posts(), 0);
}

#[tokio::test]
async fn a_lost_answer_leaves_unknown_and_the_call_is_not_made_again() {
    let outside = Outside::permitted().await;
    let (token, id) = outside.approved().await;
    let fault = Fault::AnswerLostAfterRotation;
    outside
        .stage
        .control
        .set_fault_on(Provider::Slack, Target::Api, fault, Times::Once);
    let lost = outside.call(&token, post(BODY)).await;
    assert!(matches!(lost, Err(proxy::Error::Unknown)));
    assert_eq!(outside.outcome(&id).await, Some(CallState::Unknown));
    let again = outside.call(&token, post(BODY)).await;
    assert!(matches!(again, Err(proxy::Error::Approval(_))));
    assert_eq!(outside.posts(), 1);
    assert_eq!(outside.stage.events("approval.call_unknown").await, 1);
}

#[tokio::test]
async fn a_call_whose_end_was_never_noted_becomes_unknown() {
    let outside = Outside::permitted().await;
    let (token, id) = outside.approved().await;
    // As a process leaves it that died between the first byte and the answer.
    outside
        .stage
        .sql(
            "insert into approved_calls (approval_id, state, started_at) values ($1, 'sending', $2)",
            vec![(&id).into(), outside.stage.now().into()],
        )
        .await;
    let again = outside.call(&token, post(BODY)).await;
    assert!(matches!(again, Err(proxy::Error::Approval(_))));
    assert_eq!(
        approval::settle_lost_calls(&outside.stage).await.unwrap(),
        0
    );
    outside.stage.pass(301);
    assert_eq!(
        approval::settle_lost_calls(&outside.stage).await.unwrap(),
        1
    );
    assert_eq!(outside.outcome(&id).await, Some(CallState::Unknown));
    assert_eq!(outside.posts(), 0);
}

#[tokio::test]
async fn without_a_permission_there_is_nothing_to_approve() {
    let outside = Outside::new().await;
    let refused = outside.ask().await.err().unwrap();
    assert_eq!(refused.code(), ("access_denied", 403));
    assert_eq!(refused.reason(), Some("permission_required"));
    let wanted = format!(
        "accounts/link/{}?client={}",
        outside.account.connection, outside.client.id
    );
    assert_eq!(
        refused.link(),
        Some(outside.stage.settings.url(&wanted).as_str())
    );
    let account = &outside.account;
    domain::vault::accounts::unlink(&outside.stage, &account.person_id, &account.id)
        .await
        .unwrap();
    let refused = outside.ask().await.err().unwrap();
    assert_eq!(refused.reason(), Some("account_required"));
    assert!(refused.link().is_some());
}

#[tokio::test]
async fn an_audience_other_than_the_proxys_does_not_fit_what_attorn_executes() {
    let outside = Outside::permitted().await;
    let details = json!([{"type": "slack_message", "connection": "sign-in-with-slack", "channel": "ops", "text": "x"}]);
    let ask = |audience: String| Ask {
        person: PersonHint::Id(outside.stage.ada.id.clone()),
        scopes: vec!["openid".to_owned()],
        audience: Some(audience),
        binding_message: None,
        details: Some(details.clone()),
        requested_expiry_s: None,
        run_id: None,
    };
    let issuer = ask(outside.stage.settings.issuer.clone());
    let refused = approval::ask(&outside.stage, &outside.client, issuer)
        .await
        .err()
        .unwrap();
    assert_eq!(refused.code().0, "invalid_target");
    let proxy = ask(outside.stage.settings.proxy_audience());
    assert!(
        approval::ask(&outside.stage, &outside.client, proxy)
            .await
            .is_ok()
    );
}
