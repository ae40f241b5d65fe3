//! Promise 2 through the proxy: the approved bytes, once, and nothing else.

use std::sync::Arc;

use bytes::Bytes;
use domain::approval::{
    self, Approval, Ask, CallState, Channel, Decide, Decision, Outcome, PersonHint,
};
use domain::identity::passkeys::{self, Answer, FinishRegistration, Proof};
use domain::oauth::{Client, RequestHead};
use domain::secret::Secret;
use domain::vault::proxy::{self, Error, ProxyRequest};
use domain::vault::{AccessMode, Account, permissions};
use evidence::webauthn::virtual_authenticator::VirtualAuthenticator;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use sandbox::{Fault, Provider, Target, Times};
use serde_json::{Value, json};

use crate::permission::give;
use crate::stage::{SESSION, Stage};

pub async fn approved(
    stage: &Stage,
    client: &Client,
    account: &Account,
) -> (Approval, Secret<String>) {
    approved_for(stage, client, account, "general").await
}

async fn outcome(stage: &Stage, approval: &Approval) -> Outcome {
    let approval = approval::get(stage, &stage.ada.id, &approval.id)
        .await
        .unwrap()
        .unwrap();
    approval.outcome.unwrap()
}

async fn approved_for(
    stage: &Stage,
    client: &Client,
    account: &Account,
    channel: &str,
) -> (Approval, Secret<String>) {
    let details = json!({
        "type": "slack_message", "connection": "sign-in-with-slack", "channel": channel, "text": "release 2.1 is out",
    });
    approve(stage, client, account, details).await
}

pub async fn approve(
    stage: &Stage,
    client: &Client,
    account: &Account,
    details: Value,
) -> (Approval, Secret<String>) {
    give(stage, &client.id, account, AccessMode::Call).await;
    let ask = Ask {
        person: PersonHint::Id(stage.ada.id.clone()),
        scopes: vec!["openid".to_owned()],
        audience: None,
        binding_message: None,
        details: Some(json!([details])),
        requested_expiry_s: None,
        run_id: None,
    };
    let asked = approval::ask(stage, client, ask).await.unwrap();
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
    let approval = approval::poll_and_redeem(stage, &client.id, asked.auth_req_id.expose())
        .await
        .unwrap();
    let audience = stage.settings.proxy_audience();
    let token =
        stage
            .bench
            .approved_token(client, Some(&stage.ada), &audience, &[], Some(&approval.id));
    (approval, token)
}

fn request(approval: &Approval) -> ProxyRequest {
    let call = approval.call.as_ref().unwrap();
    let mut headers = HeaderMap::new();
    for (name, value) in &call.headers {
        headers.insert(
            http::HeaderName::try_from(name).unwrap(),
            HeaderValue::try_from(value).unwrap(),
        );
    }
    ProxyRequest {
        connection: call.connection.clone(),
        host: None,
        method: Method::POST,
        path_and_query: call.path_and_query.clone(),
        headers,
        body: Bytes::from(call.body.clone()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_uses_of_one_approval_post_once() {
    let stage = Arc::new(Stage::new().await);
    let (client, _) = stage.bench.client("Agent").await;
    let account = stage.link(Provider::Slack).await;
    let (approval, token) = approved(&stage, &client, &account).await;
    let uses: Vec<_> = (0..1000)
        .map(|_| {
            let (stage, token, request) = (stage.clone(), token.clone(), request(&approval));
            tokio::spawn(async move {
                proxy::call(&stage, &RequestHead::bearer(token.expose()), request).await
            })
        })
        .collect();
    let mut sent = 0;
    for one in uses {
        match one.await.unwrap() {
            Ok(answer) => {
                assert_eq!(answer.status, StatusCode::OK);
                sent += 1;
            }
            Err(error) => assert!(matches!(error, Error::Approval(_)), "{error}"),
        }
    }
    assert_eq!(sent, 1);
    let posted = stage.control.posted_messages();
    assert_eq!(posted.len(), 1);
    assert_eq!(
        (posted[0].text.as_str(), posted[0].email.as_str()),
        ("release 2.1 is out", "ada@example.com")
    );
    assert_eq!(stage.events("approval.call_sent").await, 1);
    assert_eq!(stage.events("approval.call_done").await, 1);
}

#[tokio::test]
async fn another_request_than_the_approved_one_is_refused_and_uses_nothing_up() {
    let stage = Stage::new().await;
    let (client, _) = stage.bench.client("Agent").await;
    let account = stage.link(Provider::Slack).await;
    let (approval, token) = approved(&stage, &client, &account).await;
    let good = || request(&approval);
    let mut others = vec![good(), good(), good(), good()];
    others[0].body = Bytes::from_static(br#"{"channel":"general","text":"send me money"}"#);
    others[1].path_and_query.push_str("?as=admin");
    others[2].connection = "google-oauth2".to_owned();
    others[3].method = Method::PUT;
    for other in others {
        let refused = proxy::call(&stage, &RequestHead::bearer(token.expose()), other).await;
        assert!(matches!(refused, Err(Error::Approval(_))));
    }
    assert!(stage.control.posted_messages().is_empty());
    proxy::call(&stage, &RequestHead::bearer(token.expose()), good())
        .await
        .unwrap();
    assert_eq!(stage.control.posted_messages().len(), 1);
}

#[tokio::test]
async fn a_lost_answer_is_unknown_and_is_never_sent_again() {
    let stage = Stage::new().await;
    let (client, _) = stage.bench.client("Agent").await;
    let account = stage.link(Provider::Slack).await;
    let (approval, token) = approved(&stage, &client, &account).await;
    stage.control.set_fault_on(
        Provider::Slack,
        Target::Api,
        Fault::AnswerLostAfterRotation,
        Times::Once,
    );
    let lost = proxy::call(
        &stage,
        &RequestHead::bearer(token.expose()),
        request(&approval),
    )
    .await;
    assert!(matches!(lost, Err(Error::Unknown)));
    assert!(matches!(
        proxy::call(
            &stage,
            &RequestHead::bearer(token.expose()),
            request(&approval)
        )
        .await,
        Err(Error::Approval(_))
    ));
    assert_eq!(stage.control.posted_messages().len(), 1);
    assert_eq!(stage.events("approval.call_unknown").await, 1);
}

#[tokio::test]
async fn a_call_that_slack_refuses_with_status_200_has_failed_and_is_not_made_again() {
    let stage = Stage::new().await;
    let (client, _) = stage.bench.client("Agent").await;
    let account = stage.link(Provider::Slack).await;
    give(&stage, &client.id, &account, AccessMode::Call).await;
    let (approval, token) = approved_for(&stage, &client, &account, "nowhere").await;
    let answer = proxy::call(
        &stage,
        &RequestHead::bearer(token.expose()),
        request(&approval),
    )
    .await
    .unwrap();
    assert_eq!(answer.status, StatusCode::OK);
    let outcome = outcome(&stage, &approval).await;
    assert_eq!(
        (outcome.state, outcome.reason.as_deref(), outcome.status),
        (CallState::Failed, Some("channel_not_found"), Some(200))
    );
    assert!(matches!(
        proxy::call(
            &stage,
            &RequestHead::bearer(token.expose()),
            request(&approval)
        )
        .await,
        Err(Error::Approval(_))
    ));
    assert!(stage.control.posted_messages().is_empty());
    assert_eq!(stage.events("approval.call_failed").await, 1);
}

#[tokio::test]
async fn after_an_error_of_the_providers_own_nobody_claims_to_know() {
    let stage = Stage::new().await;
    let (client, _) = stage.bench.client("Agent").await;
    let account = stage.link(Provider::Slack).await;
    for fault in [Fault::ServerError, Fault::OkFalse] {
        let (approval, token) = approved(&stage, &client, &account).await;
        stage
            .control
            .set_fault_on(Provider::Slack, Target::Api, fault, Times::Once);
        proxy::call(
            &stage,
            &RequestHead::bearer(token.expose()),
            request(&approval),
        )
        .await
        .unwrap();
        let outcome = outcome(&stage, &approval).await;
        assert_eq!(outcome.state, CallState::Unknown, "{outcome:?}");
        assert!(outcome.status.is_some());
    }
}

#[tokio::test]
async fn a_call_that_never_reached_the_provider_has_failed() {
    let stage = Stage::new().await;
    let (client, _) = stage.bench.client("Agent").await;
    let account = stage.link(Provider::Slack).await;
    let (approval, token) = approved(&stage, &client, &account).await;
    let Stage {
        bench,
        sandbox,
        ada,
        ..
    } = stage;
    sandbox.stop().await;
    assert!(matches!(
        proxy::call(
            &bench.engine,
            &RequestHead::bearer(token.expose()),
            request(&approval)
        )
        .await,
        Err(Error::Vault(domain::vault::Error::ProviderDown { .. }))
    ));
    let approval = approval::get(&bench.engine, &ada.id, &approval.id)
        .await
        .unwrap()
        .unwrap();
    let outcome = approval.outcome.unwrap();
    assert_eq!(
        (outcome.state, outcome.reason.as_deref()),
        (CallState::Failed, Some(approval::NOT_SENT))
    );
}

#[tokio::test]
async fn a_permission_taken_back_after_the_decision_stops_the_call_and_uses_nothing_up() {
    let stage = Stage::new().await;
    let (client, _) = stage.bench.client("Agent").await;
    let account = stage.link(Provider::Slack).await;
    let (approval, token) = approved(&stage, &client, &account).await;
    let given = permissions::find(&stage, &client.id, &account.id)
        .await
        .unwrap()
        .unwrap();
    permissions::revoke(&stage, &stage.ada.id, &given.id)
        .await
        .unwrap();
    assert!(matches!(
        proxy::call(
            &stage,
            &RequestHead::bearer(token.expose()),
            request(&approval)
        )
        .await,
        Err(Error::Vault(
            domain::vault::Error::PermissionRequired { .. }
        ))
    ));
    assert!(stage.control.posted_messages().is_empty());
    give(&stage, &client.id, &account, AccessMode::Call).await;
    proxy::call(
        &stage,
        &RequestHead::bearer(token.expose()),
        request(&approval),
    )
    .await
    .unwrap();
    assert_eq!(stage.control.posted_messages().len(), 1);
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_leave_a_call_untold() {
    let stage = Arc::new(Stage::new().await);
    let (client, _) = stage.bench.client("Agent").await;
    let account = stage.link(Provider::Slack).await;
    let (approval, token) = approved(&stage, &client, &account).await;
    let gate = stage.control.gate_on(Provider::Slack, Target::Api);
    let (with, request) = (stage.clone(), request(&approval));
    let caller = tokio::spawn(async move {
        proxy::call(&with, &RequestHead::bearer(token.expose()), request).await
    });
    gate.arrived(1).await;
    let mut signals = stage.store.signals();
    caller.abort();
    assert!(caller.await.is_err_and(|error| error.is_cancelled()));
    gate.release();
    while stage.events("approval.call_done").await == 0 {
        signals.recv().await.unwrap();
    }
    assert_eq!(stage.events("approval.call_unknown").await, 0);
}

/// The token is out already when somebody with access to the database, or the
/// person who lost the device, takes away what the approval rests on.
#[tokio::test]
async fn what_needs_a_signature_is_not_sent_once_the_signature_is_gone() {
    for (sql, sent) in [
        (None, true),
        (Some("delete from decisions"), false),
        (Some("update decisions set evidence = null"), false),
        (Some("update approvals set needs_passkey = false"), false),
        (Some("delete from passkeys"), false),
    ] {
        let stage = Stage::new().await;
        let (client, _) = stage.bench.client("Agent").await;
        let account = stage.link(Provider::Slack).await;
        give(&stage, &client.id, &account, AccessMode::Call).await;
        let mut phone = enrol(&stage).await;
        let ask = Ask {
            person: PersonHint::Id(stage.ada.id.clone()),
            scopes: vec!["openid".to_owned()],
            audience: None,
            binding_message: None,
            details: Some(json!([{
                "type": "slack_message", "connection": "sign-in-with-slack", "channel": "general", "text": "hello",
            }])),
            requested_expiry_s: None,
            run_id: None,
        };
        let asked = approval::ask(&stage, &client, ask).await.unwrap();
        let decide = Decide {
            approval_id: asked.approval_id.clone(),
            person_id: stage.ada.id.clone(),
            decision: Decision::Approve,
            channel: Channel::Browser,
            address: None,
            user_agent: None,
            number: None,
        };
        let plain = approval::decide(&stage, decide.clone()).await;
        assert!(matches!(plain, Err(approval::DecideError::NeedsPasskey)));
        let waiting = approval::get(&stage, &stage.ada.id, &asked.approval_id)
            .await
            .unwrap()
            .unwrap();
        let challenge = approval::challenge(&stage, &waiting, Decision::Approve).hash();
        let signed = phone.get(&challenge);
        let answer = Answer {
            credential_id: phone.credential_id.clone(),
            client_data_json: signed.client_data_json,
            authenticator_data: signed.authenticator_data,
            signature: signed.signature,
            user_handle: None,
        };
        approval::decide_signed(&stage, decide, answer)
            .await
            .unwrap();
        let approval = approval::poll_and_redeem(&stage, &client.id, asked.auth_req_id.expose())
            .await
            .unwrap();
        let audience = stage.settings.proxy_audience();
        let token = stage.bench.approved_token(
            &client,
            Some(&stage.ada),
            &audience,
            &[],
            Some(&approval.id),
        );
        if let Some(sql) = sql {
            let done: Result<u64, domain::storage::Error> = stage
                .store
                .write(move |tx| Box::pin(async move { tx.execute(sql, vec![]).await }))
                .await;
            assert!(done.unwrap() > 0, "{sql}");
        }
        let answer = proxy::call(
            &stage,
            &RequestHead::bearer(token.expose()),
            request(&approval),
        )
        .await;
        assert_eq!(answer.is_ok(), sent, "{sql:?}");
        let posted = stage.control.posted_messages().len();
        assert_eq!(posted, usize::from(sent), "{sql:?}");
    }
}

async fn enrol(stage: &Stage) -> VirtualAuthenticator {
    let authenticator = VirtualAuthenticator::new(&passkeys::relying_party(stage).unwrap());
    let recent = Proof::SignIn { at: stage.now() };
    let begun = passkeys::begin_registration(stage, &stage.ada.id, SESSION, recent)
        .await
        .unwrap();
    let created = authenticator.create(&begun.challenge);
    let made = FinishRegistration {
        client_data_json: created.client_data_json,
        attestation_object: created.attestation_object,
        transports: Vec::new(),
        name: "Phone".to_owned(),
    };
    passkeys::finish_registration(stage, &stage.ada.id, SESSION, made)
        .await
        .unwrap();
    authenticator
}
