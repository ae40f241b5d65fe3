//! What Attorn carries out: asked for by its details, approved by its words,
//! sent by its bytes.

use bytes::Bytes;
use domain::approval::{
    self, Approval, Ask, AskError, Asked, CallState, Channel, Decide, Decision, PersonHint, Risk,
};
use domain::oauth::token::{self, TokenAnswer, TokenRequest};
use domain::oauth::{Client, RequestHead};
use domain::vault::permissions::{self, Give};
use domain::vault::proxy::{self, ProxyAnswer, ProxyRequest};
use domain::vault::{AccessMode, Account};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use sandbox::Provider;
use serde_json::{Value, json};

use crate::stage::Stage;

struct Outside {
    stage: Stage,
    client: Client,
    account: Account,
}

impl Outside {
    async fn new(provider: Provider) -> Self {
        let stage = Stage::new().await;
        let (client, _) = stage.bench.client("Outside agent").await;
        let account = stage.link(provider).await;
        let give = Give {
            person_id: stage.ada.id.clone(),
            client_id: client.id.clone(),
            account_id: account.id.clone(),
            access_mode: AccessMode::Call,
            scopes: None,
            calls: None,
        };
        permissions::give(&stage, give).await.unwrap();
        Self {
            stage,
            client,
            account,
        }
    }

    async fn ask(&self, details: Value) -> Result<Asked, AskError> {
        let ask = Ask {
            person: PersonHint::Id(self.stage.ada.id.clone()),
            scopes: vec!["openid".to_owned()],
            audience: None,
            binding_message: None,
            details: Some(json!([details])),
            requested_expiry_s: None,
            run_id: None,
        };
        approval::ask(&self.stage, &self.client, ask).await
    }

    async fn approval(&self, id: &str) -> Approval {
        let approval = approval::get(&self.stage, &self.stage.ada.id, id).await;
        approval.unwrap().unwrap()
    }

    async fn approve(&self, asked: Asked) -> TokenAnswer {
        let decide = Decide {
            approval_id: asked.approval_id,
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
        token::grant(&self.stage, request, &self.client, None)
            .await
            .unwrap()
    }

    /// Sends what the token's answer says is to be sent.
    async fn send(&self, answer: &TokenAnswer) -> Result<ProxyAnswer, proxy::Error> {
        let call = &answer.authorization_details.as_ref().unwrap()[0]["exact_call"];
        let text = |name: &str| call[name].as_str().unwrap_or_default().to_owned();
        let proxy = format!("{}/", self.stage.settings.proxy_audience());
        let url = text("url");
        let rest = url.strip_prefix(&proxy).unwrap();
        let (connection, rest) = rest.split_once('/').unwrap();
        let (host, path) = match rest.strip_prefix('~') {
            Some(rest) => {
                let (host, path) = rest.split_once('/').unwrap();
                (Some(host.to_owned()), path)
            }
            None => (None, rest),
        };
        let mut headers = HeaderMap::new();
        if let Some(media) = call["content_type"].as_str() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_str(media).unwrap());
        }
        let request = ProxyRequest {
            connection: connection.to_owned(),
            host,
            method: Method::from_bytes(text("method").as_bytes()).unwrap(),
            path_and_query: format!("/{path}"),
            headers,
            body: Bytes::from(text("body")),
        };
        let head = RequestHead::bearer(answer.access_token.expose());
        proxy::call(&self.stage, &head, request).await
    }

    /// Asks, reads, approves, sends: what was shown, and what the provider answered.
    async fn carry_out(&self, details: Value) -> (Vec<(String, String)>, ProxyAnswer) {
        let asked = self.ask(details).await.unwrap();
        let id = asked.approval_id.clone();
        let waiting = self.approval(&id).await;
        let answer = self.approve(asked).await;
        let sent = self.send(&answer).await.unwrap();
        let done = self.approval(&id).await;
        assert_eq!(done.outcome.unwrap().state, CallState::Done);
        let again = self.send(&answer).await;
        assert!(matches!(again, Err(proxy::Error::Approval(_))));
        // The bytes that came are the bytes that were approved.
        let call = waiting.call.unwrap();
        let provider = self.account.provider.parse().unwrap();
        let came = self.stage.control.requests(provider).pop().unwrap();
        assert_eq!((came.method, came.body), (call.method, call.body));
        let shown = waiting.shown.fields;
        (
            shown
                .into_iter()
                .map(|field| (field.label, field.value))
                .collect(),
            sent,
        )
    }
}

fn value<'a>(shown: &'a [(String, String)], label: &str) -> &'a str {
    let found = shown.iter().find(|(name, _)| name == label);
    found.map_or("", |(_, value)| value)
}

#[tokio::test]
async fn an_event_is_added_to_the_calendar_as_it_was_shown() {
    let outside = Outside::new(Provider::Google).await;
    let details = json!({
        "type": "calendar_event", "connection": "google-oauth2", "summary": "Release review",
        "start": "2026-11-26T10:00:00+01:00", "end": "2026-11-26T11:00:00+01:00", "location": "Room 4",
    });
    let (shown, sent) = outside.carry_out(details).await;
    assert_eq!(sent.status, StatusCode::OK);
    assert_eq!(value(&shown, "Event"), "Release review");
    assert_eq!(
        value(&shown, "Starts"),
        "Thursday 26 November 2026, 10:00 (UTC+01:00)"
    );
    assert_eq!(value(&shown, "Account"), "ada@example.com");
    let event: Value = serde_json::from_slice(&sent.body).unwrap();
    assert_eq!(event["summary"], "Release review");
    assert_eq!(event["location"], "Room 4");
}

#[tokio::test]
async fn a_mail_leaves_as_it_was_shown() {
    let outside = Outside::new(Provider::Google).await;
    let details = json!({
        "type": "gmail_send", "connection": "google-oauth2", "to": ["grace@example.com"],
        "cc": ["o@example.com"], "subject": "Größe 2.1", "text": "It is out.\nBye",
    });
    let (shown, _) = outside.carry_out(details).await;
    assert_eq!(value(&shown, "Subject"), "Größe 2.1");
    assert_eq!(value(&shown, "To"), "grace@example.com");
    let mail = outside.stage.control.sent_mails().pop().unwrap();
    assert_eq!(
        (mail.from.as_str(), mail.to.as_str()),
        ("ada@example.com", "grace@example.com")
    );
    assert!(mail.raw.contains("Cc: o@example.com\r\n"), "{}", mail.raw);
}

#[tokio::test]
async fn a_record_is_changed_as_it_was_shown() {
    let outside = Outside::new(Provider::Salesforce).await;
    let list = json!({
        "type": "call", "connection": "salesforce", "method": "GET",
        "path": "/services/data/v62.0/query", "query": "q=SELECT+Id+FROM+Opportunity+LIMIT+1",
    });
    let (_, found) = outside.carry_out(list).await;
    let found: Value = serde_json::from_slice(&found.body).unwrap();
    let id = found["records"][0]["Id"].as_str().unwrap();
    let details = json!({
        "type": "salesforce_update", "connection": "salesforce", "object": "Opportunity",
        "id": id, "fields": {"StageName": "Closed Won"},
    });
    let (shown, sent) = outside.carry_out(details).await;
    assert_eq!(sent.status, StatusCode::NO_CONTENT);
    assert_eq!(value(&shown, "Record"), format!("Opportunity {id}"));
    assert_eq!(value(&shown, "StageName"), "“Closed Won”");
}

#[tokio::test]
async fn any_call_is_shown_with_host_path_and_body_and_sent_as_it_stands() {
    let outside = Outside::new(Provider::Slack).await;
    let details = json!({
        "type": "call", "connection": "sign-in-with-slack", "method": "POST", "path": "/chat.postMessage",
        "content_type": "application/x-www-form-urlencoded", "body": "channel=ops&text=two+words+%26+more",
    });
    let (shown, sent) = outside.carry_out(details).await;
    assert_eq!(sent.status, StatusCode::OK);
    assert_eq!(value(&shown, "Path"), "/slack/api/chat.postMessage");
    assert!(value(&shown, "Host").starts_with("127.0.0.1:"));
    assert_eq!(
        value(&shown, "Body, decoded"),
        "channel = ops\ntext = two words & more"
    );
    let posted = outside.stage.control.posted_messages().pop().unwrap();
    assert_eq!(posted.text, "two words & more");
}

#[tokio::test]
async fn reading_weighs_less_than_changing() {
    let outside = Outside::new(Provider::Google).await;
    for (method, risk) in [("GET", Risk::Medium), ("DELETE", Risk::High)] {
        let details = json!({"type": "call", "connection": "google-oauth2", "method": method,
            "host": "gmail.googleapis.com", "path": "/gmail/v1/users/me/messages"});
        let asked = outside.ask(details).await.unwrap();
        assert_eq!(outside.approval(&asked.approval_id).await.shown.risk, risk);
    }
}

#[tokio::test]
async fn a_host_that_is_not_the_connections_and_a_connection_of_another_provider_are_refused() {
    let outside = Outside::new(Provider::Google).await;
    for details in [
        json!({"type": "call", "connection": "google-oauth2", "method": "GET", "host": "evil.example", "path": "/"}),
        json!({"type": "salesforce_update", "connection": "google-oauth2", "object": "Lead",
            "id": "00Q000000000001", "fields": {"Name": "x"}}),
        json!({"type": "slack_message", "connection": "google-oauth2", "channel": "ops", "text": "x"}),
    ] {
        let refused = outside.ask(details.clone()).await;
        assert!(
            matches!(refused, Err(AskError::InvalidDetails(_))),
            "{details}"
        );
    }
}

#[tokio::test]
async fn without_a_permission_nobody_is_asked() {
    let outside = Outside::new(Provider::Google).await;
    let given = permissions::find(&outside.stage, &outside.client.id, &outside.account.id)
        .await
        .unwrap()
        .unwrap();
    permissions::revoke(&outside.stage, &outside.stage.ada.id, &given.id)
        .await
        .unwrap();
    // Known to each other all the same.
    let client = &outside.client;
    outside
        .stage
        .bench
        .tokens(client, &outside.stage.ada, "openid")
        .await;
    for details in [
        json!({"type": "call", "connection": "google-oauth2", "method": "GET", "path": "/x"}),
        json!({"type": "gmail_send", "connection": "google-oauth2", "to": ["a@example.com"], "subject": "x", "text": "x"}),
        json!({"type": "calendar_event", "connection": "google-oauth2", "summary": "x", "start": "2026-11-26", "end": "2026-11-27"}),
    ] {
        let refused = outside.ask(details).await;
        assert!(matches!(refused, Err(AskError::PermissionRequired { .. })));
    }
}
