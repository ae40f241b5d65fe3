use std::time::Duration;

use super::*;
use crate::audit::Kind;
use crate::identity::Person;
use crate::oauth::{NewClient, Source, access, revoke};

struct Scene {
    bench: Bench,
    client: Client,
    secret: Secret<String>,
    ada: Person,
}

impl Scene {
    async fn new(rotate: bool) -> Self {
        let bench = Bench::new().await;
        let ada = bench.person("ada@example.com").await;
        let mut new = NewClient::confidential("Agent", Source::Command);
        new.redirect_uris = vec!["https://agent.test/callback".to_owned()];
        new.rotate_refresh = rotate;
        new.scopes = vec!["read:me:connected_accounts".to_owned()];
        let (client, secret) = bench.register(new).await;
        Self {
            bench,
            client,
            secret,
            ada,
        }
    }

    async fn first(&self) -> String {
        let scope = "openid email offline_access read:me:connected_accounts";
        let tokens = self.bench.tokens(&self.client, &self.ada, scope).await;
        refresh_token(&tokens).to_owned()
    }

    async fn refresh(&self, token: &str) -> Result<TokenAnswer, OauthError> {
        self.refresh_with(token, &[]).await
    }

    async fn refresh_with(
        &self,
        token: &str,
        more: &[(&str, &str)],
    ) -> Result<TokenAnswer, OauthError> {
        let mut pairs = vec![("grant_type", "refresh_token"), ("refresh_token", token)];
        pairs.extend(more);
        ask(&self.bench, &self.client, &self.secret, &pairs).await
    }
}

#[tokio::test]
async fn a_refresh_token_is_replaced_and_its_reuse_ends_the_family() {
    let scene = Scene::new(true).await;
    let first = scene.first().await;
    let answer = scene.refresh(&first).await.unwrap();
    let second = refresh_token(&answer).to_owned();
    assert_ne!(first, second);
    let third = scene.refresh(&second).await.unwrap();

    // The successor was used: whoever has the first one is somebody else.
    assert_eq!(refused(scene.refresh(&first).await), Code::InvalidGrant);
    assert_eq!(
        refused(scene.refresh(refresh_token(&third)).await),
        Code::InvalidGrant
    );
    assert_eq!(events(&scene.bench, Kind::TokenReused).await, 1);
    let audience = &scene.bench.settings.issuer;
    let dead = access::verify(&scene.bench, third.access_token.expose(), audience).await;
    assert_eq!(dead.unwrap_err().code, Code::InvalidToken);
}

#[tokio::test]
async fn a_lost_answer_may_be_asked_for_again_for_thirty_seconds() {
    let scene = Scene::new(true).await;
    let first = scene.first().await;
    scene.refresh(&first).await.unwrap();
    scene.bench.advance(Duration::from_secs(30));
    let again = scene.refresh(&first).await.unwrap();
    scene.refresh(refresh_token(&again)).await.unwrap();
}

#[tokio::test]
async fn after_the_grace_a_used_token_ends_the_family() {
    let scene = Scene::new(true).await;
    let first = scene.first().await;
    let answer = scene.refresh(&first).await.unwrap();
    scene.bench.advance(Duration::from_secs(31));
    assert_eq!(refused(scene.refresh(&first).await), Code::InvalidGrant);
    assert_eq!(
        refused(scene.refresh(refresh_token(&answer)).await),
        Code::InvalidGrant
    );
    assert_eq!(events(&scene.bench, Kind::TokenReused).await, 1);
}

#[tokio::test]
async fn of_two_answers_to_one_token_only_one_can_be_used() {
    let scene = Scene::new(true).await;
    let first = scene.first().await;
    let one = scene.refresh(&first).await.unwrap();
    let two = scene.refresh(&first).await.unwrap();
    scene.refresh(refresh_token(&two)).await.unwrap();
    assert_eq!(
        refused(scene.refresh(refresh_token(&one)).await),
        Code::InvalidGrant
    );
    assert_eq!(events(&scene.bench, Kind::TokenReused).await, 1);
}

#[tokio::test]
async fn a_client_that_opted_out_keeps_its_token() {
    let scene = Scene::new(false).await;
    let first = scene.first().await;
    for _ in 0..3 {
        assert!(scene.refresh(&first).await.unwrap().refresh_token.is_none());
        scene.bench.advance(Duration::from_secs(3600));
    }
    // Idle for 30 days, it ends all the same.
    scene.bench.advance(Duration::from_secs(30 * 24 * 3600));
    assert_eq!(refused(scene.refresh(&first).await), Code::InvalidGrant);
}

#[tokio::test]
async fn a_family_ends_after_half_a_year_whatever_its_use() {
    let scene = Scene::new(false).await;
    let first = scene.first().await;
    for _ in 0..8 {
        scene.bench.advance(Duration::from_secs(20 * 24 * 3600));
        scene.refresh(&first).await.unwrap();
    }
    scene.bench.advance(Duration::from_secs(20 * 24 * 3600));
    assert_eq!(refused(scene.refresh(&first).await), Code::InvalidGrant);
}

#[tokio::test]
async fn one_refresh_token_serves_several_audiences_but_no_foreign_one() {
    let scene = Scene::new(true).await;
    let me = scene.bench.settings.me_audience();
    let first = scene.first().await;
    let foreign = scene
        .refresh_with(&first, &[("audience", "https://elsewhere.test/")])
        .await;
    assert_eq!(refused(foreign), Code::InvalidTarget);
    let more = scene
        .refresh_with(&first, &[("scope", "openid admin")])
        .await;
    assert_eq!(refused(more), Code::InvalidScope);
    // Neither refusal cost the token.
    let answer = scene
        .refresh_with(
            &first,
            &[("audience", &me), ("scope", "read:me:connected_accounts")],
        )
        .await
        .unwrap();
    let token = answer.access_token.expose();
    let presented = access::verify(&scene.bench, token, &me).await.unwrap();
    assert_eq!(presented.scopes, ["read:me:connected_accounts"]);
    assert!(presented.need("delete:me:connected_accounts").is_err());
    let issuer = &scene.bench.settings.issuer;
    assert!(access::verify(&scene.bench, token, issuer).await.is_err());
}

#[tokio::test]
async fn another_clients_refresh_token_is_refused_and_stays_good() {
    let scene = Scene::new(true).await;
    let first = scene.first().await;
    let (other, others) = scene.bench.client("Other").await;
    let pairs = [
        ("grant_type", "refresh_token"),
        ("refresh_token", first.as_str()),
    ];
    let answer = ask(&scene.bench, &other, &others, &pairs).await;
    assert_eq!(refused(answer), Code::InvalidGrant);
    revoke(&scene.bench, &other, &first).await.unwrap();
    scene.refresh(&first).await.unwrap();
}

#[tokio::test]
async fn revoking_a_refresh_token_ends_its_access_tokens() {
    let scene = Scene::new(true).await;
    let answer = scene.refresh(&scene.first().await).await.unwrap();
    let issuer = &scene.bench.settings.issuer;
    revoke(&scene.bench, &scene.client, refresh_token(&answer))
        .await
        .unwrap();
    let dead = access::verify(&scene.bench, answer.access_token.expose(), issuer).await;
    assert!(dead.is_err());
    // Once more changes nothing, and neither does what never was a token.
    revoke(&scene.bench, &scene.client, refresh_token(&answer))
        .await
        .unwrap();
    revoke(&scene.bench, &scene.client, "never a token")
        .await
        .unwrap();
    assert_eq!(events(&scene.bench, Kind::TokenRevoked).await, 1);
}
