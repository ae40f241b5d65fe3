use std::time::Duration;

use super::*;
use crate::audit::Kind;
use crate::identity::{self, Person, State};
use crate::oauth::clients::{self, ClientState, NewClient, Source};
use crate::oauth::device::{self, CodeError, DeviceAnswer};
use crate::testing::START;

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
        let (client, secret) = bench.client("Television").await;
        Self {
            bench,
            ada,
            client,
            secret,
        }
    }

    async fn ask(&self, scope: &str) -> Result<DeviceAnswer, OauthError> {
        let params = Params::new([
            ("client_id", self.client.id.as_str()),
            ("client_secret", self.secret.expose().as_str()),
            ("scope", scope),
        ])?;
        device::ask(&self.bench, &RequestHead::default(), &params).await
    }

    async fn decide(&self, typed: &str, allow: bool) -> Result<(), CodeError> {
        device::decide(&self.bench, &self.ada.id, START, typed, allow)
            .await
            .map(|_| ())
    }

    async fn poll(&self, asked: &DeviceAnswer) -> Result<TokenAnswer, OauthError> {
        self.poll_as(&self.client, &self.secret, asked).await
    }

    async fn poll_as(
        &self,
        client: &Client,
        secret: &Secret<String>,
        asked: &DeviceAnswer,
    ) -> Result<TokenAnswer, OauthError> {
        let pairs = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
            ("device_code", asked.device_code.expose()),
        ];
        ask(&self.bench, client, secret, &pairs).await
    }
}

#[tokio::test]
async fn a_device_waits_is_allowed_and_gets_its_tokens_once() {
    let scene = Scene::new().await;
    let asked = scene.ask("openid offline_access").await.unwrap();
    assert_eq!(asked.verification_uri, "https://attorn.test/device");
    assert_eq!(
        asked.verification_uri_complete,
        format!("https://attorn.test/device?user_code={}", asked.user_code)
    );
    assert_eq!(
        refused(scene.poll(&asked).await),
        Code::AuthorizationPending
    );
    assert_eq!(refused(scene.poll(&asked).await), Code::SlowDown);
    // However it is written.
    let typed = asked.user_code.to_lowercase().replace('-', " ");
    let found = device::find(&scene.bench, &scene.ada.id, &typed)
        .await
        .unwrap();
    assert_eq!(found.client.id, scene.client.id);
    assert_eq!(found.scopes, ["openid", "offline_access"]);
    scene.decide(&typed, true).await.unwrap();

    let answer = scene.poll(&asked).await.unwrap();
    assert!(answer.id_token.is_some());
    let refreshed = ask(
        &scene.bench,
        &scene.client,
        &scene.secret,
        &[
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token(&answer)),
        ],
    )
    .await
    .unwrap();
    assert_eq!(events(&scene.bench, Kind::ConsentGiven).await, 1);

    // Whoever presents it again has it from somebody: the family ends.
    assert_eq!(refused(scene.poll(&asked).await), Code::InvalidGrant);
    assert_eq!(events(&scene.bench, Kind::TokenReused).await, 1);
    let ended = ask(
        &scene.bench,
        &scene.client,
        &scene.secret,
        &[
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token(&refreshed)),
        ],
    )
    .await;
    assert_eq!(refused(ended), Code::InvalidGrant);
}

#[tokio::test]
async fn a_hundred_polls_of_an_allowed_device_give_one_token() {
    let scene = Scene::new().await;
    let asked = scene.ask("openid").await.unwrap();
    scene.decide(&asked.user_code, true).await.unwrap();
    let polls = (0..100).map(|_| scene.poll(&asked));
    let given = futures::future::join_all(polls)
        .await
        .into_iter()
        .filter(Result::is_ok)
        .count();
    assert_eq!(given, 1);
}

#[tokio::test]
async fn a_code_is_answered_once_and_a_denial_reaches_the_device() {
    let scene = Scene::new().await;
    let asked = scene.ask("openid").await.unwrap();
    scene.decide(&asked.user_code, false).await.unwrap();
    let again = scene.decide(&asked.user_code, true).await;
    assert!(matches!(again, Err(CodeError::Unknown)));
    assert_eq!(refused(scene.poll(&asked).await), Code::AccessDenied);
}

#[tokio::test]
async fn after_ten_minutes_nobody_can_answer_and_the_device_hears_of_it() {
    let scene = Scene::new().await;
    let (late, unredeemed) = (
        scene.ask("openid").await.unwrap(),
        scene.ask("openid").await.unwrap(),
    );
    scene.decide(&unredeemed.user_code, true).await.unwrap();
    scene.bench.advance(Duration::from_secs(600));
    let decided = scene.decide(&late.user_code, true).await;
    assert!(matches!(decided, Err(CodeError::Unknown)));
    assert_eq!(refused(scene.poll(&late).await), Code::ExpiredToken);
    assert_eq!(refused(scene.poll(&unredeemed).await), Code::ExpiredToken);
    // And it is forgotten, but not at once.
    crate::oauth::sweep(&scene.bench).await.unwrap();
    assert_eq!(refused(scene.poll(&late).await), Code::ExpiredToken);
    scene.bench.advance(Duration::from_secs(25 * 60 * 60));
    crate::oauth::sweep(&scene.bench).await.unwrap();
    assert_eq!(refused(scene.poll(&late).await), Code::InvalidGrant);
}

#[tokio::test]
async fn another_client_a_made_up_code_and_a_client_without_the_grant_get_nothing() {
    let scene = Scene::new().await;
    let asked = scene.ask("openid").await.unwrap();
    scene.decide(&asked.user_code, true).await.unwrap();
    let (other, secret) = scene.bench.client("Other").await;
    let stolen = scene.poll_as(&other, &secret, &asked).await;
    assert_eq!(refused(stolen), Code::InvalidGrant);
    let made_up = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
        ("device_code", "att_dc_made_up"),
    ];
    let made_up = ask(&scene.bench, &scene.client, &scene.secret, &made_up).await;
    assert_eq!(refused(made_up), Code::InvalidGrant);

    let mut new = NewClient::confidential("No television", Source::Admin);
    new.grant_types = vec![crate::oauth::GrantType::ClientCredentials];
    let (plain, secret) = scene.bench.register(new).await;
    let params = Params::new([
        ("client_id", plain.id.as_str()),
        ("client_secret", secret.expose().as_str()),
    ])
    .unwrap();
    let asked = device::ask(&scene.bench, &RequestHead::default(), &params).await;
    assert_eq!(
        asked.map(|_| ()).unwrap_err().code,
        Code::UnauthorizedClient
    );
    let scope = scene.ask("admin:everything").await.map(|_| ());
    assert_eq!(scope.unwrap_err().code, Code::InvalidScope);
}

#[tokio::test]
async fn a_person_locked_or_a_client_frozen_after_the_answer_gives_the_device_nothing() {
    let scene = Scene::new().await;
    let asked = scene.ask("openid").await.unwrap();
    scene.decide(&asked.user_code, true).await.unwrap();
    identity::set_state(&scene.bench, None, &scene.ada.id, State::Locked)
        .await
        .unwrap();
    assert_eq!(refused(scene.poll(&asked).await), Code::InvalidGrant);
    identity::set_state(&scene.bench, None, &scene.ada.id, State::Active)
        .await
        .unwrap();
    let unanswered = scene.ask("openid").await.unwrap();
    clients::freeze(&scene.bench, None, &scene.client.id, ClientState::Frozen)
        .await
        .unwrap();
    assert!(scene.poll(&asked).await.is_err());
    let found = device::find(&scene.bench, &scene.ada.id, &unanswered.user_code).await;
    assert!(matches!(found, Err(CodeError::Unknown)));
}

#[tokio::test]
async fn who_types_code_after_code_is_slowed_and_nobody_else_is() {
    let scene = Scene::new().await;
    let asked = scene.ask("openid").await.unwrap();
    for _ in 0..20 {
        let typed = device::find(&scene.bench, &scene.ada.id, "BBBB-BBBB").await;
        assert!(matches!(typed, Err(CodeError::Unknown)));
    }
    // The right one as well: otherwise the answer would tell.
    let typed = device::find(&scene.bench, &scene.ada.id, &asked.user_code).await;
    assert!(matches!(typed, Err(CodeError::TooOften(_))));
    let grace = scene.bench.person("grace@example.com").await;
    device::find(&scene.bench, &grace.id, &asked.user_code)
        .await
        .unwrap();
    scene.bench.advance(Duration::from_secs(15));
    device::find(&scene.bench, &scene.ada.id, &asked.user_code)
        .await
        .unwrap();
}
