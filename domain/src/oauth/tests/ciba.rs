use serde_json::Value;

use super::*;
use crate::approval::{self, Channel, Decide, Decision, decide};
use crate::audit::Kind;
use crate::identity::user_code::CodeError;
use crate::identity::{self, Person, State};
use crate::oauth::{
    ClientKind, ClientState, GrantType, NewClient, Source, access, backchannel, clients, introspect,
};

const DETAILS: &str = r#"[{"type":"deployment","service":"shop","version":"2.1"}]"#;

struct Scene {
    bench: Bench,
    ada: Person,
    client: Client,
    secret: Secret<String>,
}

impl Scene {
    async fn new() -> Self {
        let bench = Bench::new().await;
        let ada = bench.person("ada@example.com").await;
        let (client, secret) = bench.client("Agent").await;
        // They have to do with each other.
        bench.tokens(&client, &ada, "openid offline_access").await;
        Self {
            bench,
            ada,
            client,
            secret,
        }
    }

    async fn request(&self, changes: &[(&str, &str)]) -> Result<(String, String), OauthError> {
        let mut all: BTreeMap<&str, &str> = BTreeMap::from([
            ("client_id", self.client.id.as_str()),
            ("client_secret", self.secret.expose().as_str()),
            ("scope", "openid offline_access"),
            ("login_hint", "ada@example.com"),
            ("binding_message", "Ship 2.1"),
            ("authorization_details", DETAILS),
        ]);
        all.extend(changes.iter().copied());
        let body =
            backchannel::answer(&self.bench, &RequestHead::default(), &Params::new(all)?).await?;
        let body: Value = serde_json::from_str(body.expose()).unwrap();
        assert_eq!(body["interval"], 5);
        let auth_req_id = body["auth_req_id"].as_str().unwrap().to_owned();
        let row = self
            .bench
            .store
            .reader()
            .await
            .unwrap()
            .optional(
                "select id from approvals order by created_at desc, id desc limit 1",
                vec![],
            )
            .await
            .unwrap()
            .unwrap();
        Ok((auth_req_id, row.get("id").unwrap()))
    }

    async fn decide(&self, approval_id: &str, decision: Decision) {
        let decision = Decide {
            approval_id: approval_id.to_owned(),
            person_id: self.ada.id.clone(),
            decision,
            channel: Channel::Browser,
            address: None,
            user_agent: None,
            number: None,
        };
        decide(&self.bench, decision).await.unwrap();
    }

    async fn poll(&self, auth_req_id: &str) -> Result<TokenAnswer, OauthError> {
        let pairs = [
            ("grant_type", "urn:openid:params:grant-type:ciba"),
            ("auth_req_id", auth_req_id),
        ];
        ask(&self.bench, &self.client, &self.secret, &pairs).await
    }
}

#[tokio::test]
async fn an_approved_request_gives_its_tokens_once() {
    let scene = Scene::new().await;
    let (auth_req_id, approval) = scene.request(&[]).await.unwrap();
    assert_eq!(
        refused(scene.poll(&auth_req_id).await),
        Code::AuthorizationPending
    );
    let Err(hasty) = scene.poll(&auth_req_id).await else {
        panic!("too soon");
    };
    assert_eq!(hasty.code, Code::SlowDown);
    assert!(hasty.retry_after_s.is_some());
    scene.decide(&approval, Decision::Approve).await;
    let answer = scene.poll(&auth_req_id).await.unwrap();
    assert!(answer.id_token.is_some() && answer.refresh_token.is_some());
    assert_eq!(
        answer.authorization_details.as_ref().unwrap()[0]["service"],
        "shop"
    );
    let issuer = &scene.bench.settings.issuer;
    let presented = access::verify(&scene.bench, answer.access_token.expose(), issuer)
        .await
        .unwrap();
    assert_eq!(presented.person_id.as_deref(), Some(scene.ada.id.as_str()));
    // Nothing for Attorn to execute: no call hangs on this token, and whoever
    // does it reads in the token what was approved.
    assert_eq!(presented.approval_id, None);
    let approved = &answer.authorization_details;
    assert_eq!(&presented.authorization_details, approved);
    let token = answer.access_token.expose();
    let told = introspect::introspect(&scene.bench, &scene.client, token)
        .await
        .unwrap();
    assert_eq!(Some(&told["authorization_details"]), approved.as_ref());
    // One approval is no right to do it again with every later token.
    let later = [
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh_token(&answer)),
    ];
    let later = ask(&scene.bench, &scene.client, &scene.secret, &later)
        .await
        .unwrap();
    let later = access::verify(&scene.bench, later.access_token.expose(), issuer)
        .await
        .unwrap();
    assert_eq!(later.authorization_details, None);
    assert_eq!(refused(scene.poll(&auth_req_id).await), Code::InvalidGrant);
}

#[tokio::test]
async fn a_denied_request_says_so() {
    let scene = Scene::new().await;
    let (auth_req_id, approval) = scene.request(&[]).await.unwrap();
    scene.decide(&approval, Decision::Deny).await;
    assert_eq!(refused(scene.poll(&auth_req_id).await), Code::AccessDenied);
}

#[tokio::test]
async fn another_client_cannot_redeem_an_approval() {
    let scene = Scene::new().await;
    let (other, others) = scene.bench.client("Other").await;
    let (auth_req_id, approval) = scene.request(&[]).await.unwrap();
    scene.decide(&approval, Decision::Approve).await;
    let pairs = [
        ("grant_type", "urn:openid:params:grant-type:ciba"),
        ("auth_req_id", auth_req_id.as_str()),
    ];
    let stolen = ask(&scene.bench, &other, &others, &pairs).await;
    assert_eq!(refused(stolen), Code::InvalidGrant);
    scene.poll(&auth_req_id).await.unwrap();
}

#[tokio::test]
async fn somebody_locked_after_approving_gives_nothing() {
    let scene = Scene::new().await;
    let (auth_req_id, approval) = scene.request(&[]).await.unwrap();
    scene.decide(&approval, Decision::Approve).await;
    identity::set_state(&scene.bench, None, &scene.ada.id, State::Locked)
        .await
        .unwrap();
    assert_eq!(refused(scene.poll(&auth_req_id).await), Code::AccessDenied);
    assert_eq!(events(&scene.bench, Kind::ApprovalConsumed).await, 0);
}

#[tokio::test]
async fn two_hints_no_hint_and_foreign_parameters_do_not_choose_the_person() {
    let scene = Scene::new().await;
    let bob = scene.bench.person("bob@example.com").await;
    for (name, value, code) in [
        ("id_token_hint", "x", Code::InvalidRequest),
        ("login_hint_token", "x", Code::InvalidRequest),
        ("login_hint", "", Code::InvalidRequest),
        ("login_hint", "bob@example.com", Code::UnknownUserId),
        ("login_hint", "nobody@example.com", Code::UnknownUserId),
        ("scope", "email", Code::InvalidScope),
        ("requested_expiry", "soon", Code::InvalidRequest),
        (
            "authorization_details",
            "[{}]",
            Code::InvalidAuthorizationDetails,
        ),
        ("request", "x.y.z", Code::RequestNotSupported),
    ] {
        let answer = scene.request(&[(name, value)]).await;
        assert_eq!(answer.unwrap_err().code, code, "{name}={value}");
    }
    let injected = [
        ("sub", bob.id.as_str()),
        ("acr", "x"),
        ("exp", "9999999999"),
    ];
    let (auth_req_id, approval) = scene.request(&injected).await.unwrap();
    scene.decide(&approval, Decision::Approve).await;
    let answer = scene.poll(&auth_req_id).await.unwrap();
    let issuer = &scene.bench.settings.issuer;
    let presented = access::verify(&scene.bench, answer.access_token.expose(), issuer)
        .await
        .unwrap();
    assert_eq!(presented.person_id.as_deref(), Some(scene.ada.id.as_str()));
}

#[tokio::test]
async fn a_thousand_redemptions_of_one_approval_give_one_token() {
    let scene = Scene::new().await;
    let (auth_req_id, approval) = scene.request(&[]).await.unwrap();
    scene.decide(&approval, Decision::Approve).await;
    let all = (0..1000).map(|_| scene.poll(&auth_req_id));
    let answers = futures::future::join_all(all).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    for answer in answers.into_iter().filter(Result::is_err) {
        assert_eq!(refused(answer), Code::InvalidGrant);
    }
}

#[tokio::test]
async fn a_poll_that_waits_hears_of_the_decision_and_never_waits_for_ever() {
    let scene = Scene::new().await;
    let long = [("requested_expiry", "259200")];
    let (auth_req_id, approval) = scene.request(&long).await.unwrap();
    let head = |wait_s| RequestHead {
        wait_s: Some(wait_s),
        ..RequestHead::default()
    };
    let params = || {
        Params::new([
            ("client_id", scene.client.id.as_str()),
            ("client_secret", scene.secret.expose().as_str()),
            ("grant_type", "urn:openid:params:grant-type:ciba"),
            ("auth_req_id", auth_req_id.as_str()),
        ])
        .unwrap()
    };
    // Nobody decides: it is answered after half a minute at the latest.
    let (patient, asked) = (head(3600), params());
    let began = scene.bench.now();
    let mut waiting = std::pin::pin!(token::answer(&scene.bench, &patient, &asked));
    let waited = loop {
        let looked = scene.bench.store.reader();
        tokio::select! {
            answer = &mut waiting => break answer,
            _ = looked => scene.bench.advance(std::time::Duration::from_secs(1)),
        }
    };
    assert_eq!(refused(waited), Code::AuthorizationPending);
    assert!(scene.bench.now() - began >= 30_000);
    // Somebody decides while it waits.
    let (patient, asked) = (head(20), params());
    let (told, ()) = tokio::join!(
        token::answer(&scene.bench, &patient, &asked),
        scene.decide(&approval, Decision::Approve)
    );
    assert!(told.is_ok());
    assert_eq!(refused(scene.poll(&auth_req_id).await), Code::InvalidGrant);
}

#[test]
fn what_went_wrong_with_the_database_is_not_told_to_a_client_that_sent_a_code() {
    let error: approval::AskError = CodeError::Storage(crate::storage::Error::Busy).into();
    let told = OauthError::from(error);
    assert_eq!(
        (told.code, told.status),
        (Code::TemporarilyUnavailable, 503)
    );
}

#[tokio::test]
async fn a_client_frozen_after_approving_gets_nothing_even_past_authentication() {
    let scene = Scene::new().await;
    let (auth_req_id, approval) = scene.request(&[]).await.unwrap();
    scene.decide(&approval, Decision::Approve).await;
    let id = &scene.client.id;
    clients::freeze(&scene.bench, None, id, ClientState::Frozen)
        .await
        .unwrap();
    assert_eq!(refused(scene.poll(&auth_req_id).await), Code::InvalidClient);
    // Frozen between authentication and the write: the row is read in it.
    let request = || token::TokenRequest::Ciba {
        auth_req_id: auth_req_id.as_str().into(),
        audience: None,
    };
    let late = token::grant(&scene.bench, request(), &scene.client, None).await;
    assert_eq!(refused(late), Code::AccessDenied);
    assert_eq!(events(&scene.bench, Kind::ApprovalConsumed).await, 0);
}

#[tokio::test]
async fn a_public_client_neither_asks_nor_redeems() {
    let scene = Scene::new().await;
    let (auth_req_id, approval) = scene.request(&[]).await.unwrap();
    scene.decide(&approval, Decision::Approve).await;
    // It cannot even be registered for it.
    let public = |grant_types| NewClient {
        kind: ClientKind::Public,
        redirect_uris: vec!["https://app.test/cb".to_owned()],
        grant_types,
        ..NewClient::confidential("App", Source::Admin)
    };
    let ciba = public(vec![GrantType::Ciba]);
    assert!(clients::register(&scene.bench, ciba).await.is_err());
    let code = public(vec![GrantType::AuthorizationCode]);
    let (app, _) = clients::register(&scene.bench, code).await.unwrap();
    let pairs = [
        ("grant_type", "urn:openid:params:grant-type:ciba"),
        ("auth_req_id", auth_req_id.as_str()),
    ];
    let params = |id: &str| {
        let pairs = pairs.into_iter().chain([("client_id", id)]);
        Params::new(pairs).unwrap()
    };
    let nowhere = RequestHead::default();
    let answer = token::answer(&scene.bench, &nowhere, &params(&app.id)).await;
    assert_eq!(refused(answer), Code::UnauthorizedClient);
    let asked = Params::new([("client_id", app.id.as_str()), ("scope", "openid")]).unwrap();
    let asked = backchannel::answer(&scene.bench, &nowhere, &asked).await;
    assert_eq!(
        asked.err().map(|error| error.code),
        Some(Code::InvalidClient)
    );
    // Nor does a confidential one by its name alone, or one that became public.
    let answer = token::answer(&scene.bench, &nowhere, &params(&scene.client.id)).await;
    assert_eq!(refused(answer), Code::InvalidClient);
    let became = Client {
        kind: ClientKind::Public,
        ..scene.client.clone()
    };
    let request = token::TokenRequest::Ciba {
        auth_req_id: auth_req_id.as_str().into(),
        audience: None,
    };
    let answer = token::grant(&scene.bench, request, &became, None).await;
    assert_eq!(refused(answer), Code::UnauthorizedClient);
    scene.poll(&auth_req_id).await.unwrap();
}
