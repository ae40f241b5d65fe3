//! An access token of ours for another one of ours.

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::identity::Person;
use crate::oauth::access::{self, Issue, Presented};
use crate::oauth::token::EXCHANGE_RFC;
use crate::oauth::{NewClient, Source, revoke};

const REFRESH: &str = "urn:ietf:params:oauth:token-type:refresh_token";
const ACCESS: &str = "urn:ietf:params:oauth:token-type:access_token";
const API: &str = "https://api.test/";
const BACK: &str = "https://back.test/";

/// Ada's agent calls an API, which calls another behind it.
struct Scene {
    bench: Bench,
    ada: Person,
    agent: (Client, Secret<String>),
    api: (Client, Secret<String>),
}

impl Scene {
    async fn new() -> Self {
        let bench = Bench::new().await;
        let ada = bench.person("ada@example.com").await;
        let mut agent = NewClient::confidential("Agent", Source::Command);
        agent.redirect_uris = vec!["https://agent.test/callback".to_owned()];
        agent.audiences = vec![API.to_owned(), BACK.to_owned()];
        let mut api = NewClient::confidential("API", Source::Command);
        api.resource_audience = Some(API.to_owned());
        api.audiences = vec![BACK.to_owned(), API.to_owned()];
        let (agent, api) = (bench.register(agent).await, bench.register(api).await);
        Self {
            bench,
            ada,
            agent,
            api,
        }
    }

    /// A token of the agent's for the API, of no family.
    fn token(&self, scopes: &[&str]) -> Secret<String> {
        self.bench
            .access_token(&self.agent.0, Some(&self.ada), API, scopes)
    }

    async fn exchange(
        &self,
        (client, secret): &(Client, Secret<String>),
        token: &Secret<String>,
        more: &[(&str, &str)],
    ) -> Result<TokenAnswer, OauthError> {
        let mut pairs = vec![
            ("grant_type", EXCHANGE_RFC),
            ("subject_token_type", ACCESS),
            ("subject_token", token.expose().as_str()),
        ];
        pairs.extend_from_slice(more);
        ask(&self.bench, client, secret, &pairs).await
    }

    async fn verified(&self, answer: &TokenAnswer, audience: &str) -> Presented {
        access::verify(&self.bench, answer.access_token.expose(), audience)
            .await
            .unwrap()
    }
}

#[tokio::test]
async fn an_api_gets_a_token_for_the_api_behind_it_that_says_who_acts() {
    let scene = Scene::new().await;
    let token = scene.token(&["read", "write"]);
    let more = [("audience", BACK), ("scope", "read")];
    let answer = scene.exchange(&scene.api, &token, &more).await.unwrap();
    assert_eq!(answer.issued_token_type.as_deref(), Some(ACCESS));
    let said = scene.verified(&answer, BACK).await;
    assert_eq!(said.person_id.as_deref(), Some(scene.ada.id.as_str()));
    assert_eq!(said.client_id, scene.api.0.id);
    assert_eq!(said.scopes, ["read"]);
    assert_eq!(said.act, Some(json!({ "sub": scene.api.0.id })));
    assert!(
        access::verify(&scene.bench, answer.access_token.expose(), API)
            .await
            .is_err()
    );
}

#[tokio::test]
async fn resource_names_the_audience_as_well() {
    let scene = Scene::new().await;
    let more = [("resource", BACK)];
    let token = scene.token(&["read"]);
    let answer = scene.exchange(&scene.agent, &token, &more).await.unwrap();
    assert_eq!(scene.verified(&answer, BACK).await.scopes, ["read"]);
}

#[tokio::test]
async fn an_exchanged_token_never_has_a_scope_its_subject_lacks() {
    let scene = Scene::new().await;
    let token = scene.token(&["read", "write"]);
    let more = [("audience", BACK), ("scope", "read admin")];
    let answer = scene.exchange(&scene.agent, &token, &more).await;
    assert_eq!(refused(answer), Code::InvalidScope);
    let less = [("audience", API), ("scope", "read")];
    let narrow = scene.exchange(&scene.agent, &token, &less).await.unwrap();
    let again = [("audience", BACK), ("scope", "write")];
    let answer = scene
        .exchange(&scene.agent, &narrow.access_token, &again)
        .await;
    assert_eq!(refused(answer), Code::InvalidScope);
}

#[tokio::test]
async fn without_a_target_the_token_is_for_the_same_audience_with_less_scope() {
    let scene = Scene::new().await;
    let token = scene.token(&["read", "write"]);
    let less = [("scope", "read")];
    let answer = scene.exchange(&scene.agent, &token, &less).await.unwrap();
    let said = scene.verified(&answer, API).await;
    assert_eq!(said.scopes, ["read"]);
    let more = [("scope", "read admin")];
    let refused_ = scene.exchange(&scene.agent, &token, &more).await;
    assert_eq!(refused(refused_), Code::InvalidScope);
}

#[tokio::test]
async fn an_exchanged_token_never_outlives_its_subject() {
    let scene = Scene::new().await;
    let token = scene.token(&[]);
    scene.bench.advance(Duration::from_secs(500));
    let more = [("audience", BACK)];
    let answer = scene.exchange(&scene.agent, &token, &more).await.unwrap();
    assert_eq!(answer.expires_in, 100);
    let audience = scene.verified(&answer, BACK).await;
    assert!(audience.expires_at <= scene.bench.now() + 100_000);
    scene.bench.advance(Duration::from_secs(100));
    let late = access::verify(&scene.bench, answer.access_token.expose(), BACK).await;
    assert!(late.is_err());
}

#[tokio::test]
async fn revoking_the_agents_tokens_reaches_what_was_exchanged_from_them() {
    let scene = Scene::new().await;
    let (agent, _) = &scene.agent;
    let tokens = scene
        .bench
        .tokens(agent, &scene.ada, "offline_access")
        .await;
    let more = [("audience", BACK)];
    let answer = scene
        .exchange(&scene.agent, &tokens.access_token, &more)
        .await
        .unwrap();
    scene.verified(&answer, BACK).await;
    revoke(&scene.bench, agent, refresh_token(&tokens))
        .await
        .unwrap();
    let after = access::verify(&scene.bench, answer.access_token.expose(), BACK).await;
    assert!(after.is_err());
}

#[tokio::test]
async fn at_most_four_act_one_for_the_other() {
    let scene = Scene::new().await;
    let mut token = scene.token(&[]);
    let more = [("audience", API)];
    let agent = scene.agent.0.id.as_str();
    for depth in 1..=4 {
        let answer = scene.exchange(&scene.agent, &token, &more).await.unwrap();
        let said = scene.verified(&answer, API).await;
        let mut expected = json!({ "sub": agent });
        for _ in 1..depth {
            expected = json!({ "sub": agent, "act": expected });
        }
        assert_eq!(said.act, Some(expected));
        token = answer.access_token;
    }
    let fifth = scene.exchange(&scene.agent, &token, &more).await;
    assert_eq!(refused(fifth), Code::InvalidRequest);
}

#[tokio::test]
async fn a_resource_server_gets_no_token_for_an_audience_it_is_not_registered_for() {
    let scene = Scene::new().await;
    let token = scene.token(&["read"]);
    let proxy = scene.bench.settings.proxy_audience();
    let me = scene.bench.settings.me_audience();
    for audience in [&proxy, &me, &scene.bench.settings.issuer] {
        let more = [("audience", audience.as_str())];
        let answer = scene.exchange(&scene.api, &token, &more).await;
        assert_eq!(refused(answer), Code::InvalidTarget, "{audience}");
    }
    let more = [("audience", "https://elsewhere.test/")];
    let answer = scene.exchange(&scene.agent, &token, &more).await;
    assert_eq!(refused(answer), Code::InvalidTarget);
}

#[tokio::test]
async fn a_stranger_an_approval_and_a_refresh_token_buy_no_other_token() {
    let scene = Scene::new().await;
    let more = [("audience", BACK)];
    let mut stranger = NewClient::confidential("Stranger", Source::Command);
    stranger.audiences = vec![BACK.to_owned()];
    let stranger = scene.bench.register(stranger).await;
    let token = scene.token(&["read"]);
    let answer = scene.exchange(&stranger, &token, &more).await;
    assert_eq!(refused(answer), Code::InvalidRequest);

    let (agent, secret) = &scene.agent;
    let approved =
        scene
            .bench
            .approved_token(agent, Some(&scene.ada), API, &[], Some("apr_public"));
    let answer = scene.exchange(&scene.agent, &approved, &more).await;
    assert_eq!(refused(answer), Code::InvalidRequest);

    let tokens = scene
        .bench
        .tokens(agent, &scene.ada, "offline_access")
        .await;
    let pairs = [
        ("grant_type", EXCHANGE_RFC),
        ("subject_token_type", REFRESH),
        ("subject_token", refresh_token(&tokens)),
        ("audience", BACK),
    ];
    let answer = ask(&scene.bench, agent, secret, &pairs).await;
    assert_eq!(refused(answer), Code::InvalidRequest);
}

#[tokio::test]
async fn a_client_does_not_rid_its_token_of_the_key_by_exchanging_it() {
    let scene = Scene::new().await;
    let bound = access::issue(
        &scene.bench,
        &Issue {
            person_id: Some(&scene.ada.id),
            jkt: Some("a-thumbprint"),
            ..Issue::new(&scene.agent.0.id, &[], API)
        },
    )
    .unwrap();
    let more = [("audience", BACK)];
    let answer = scene.exchange(&scene.agent, &bound, &more).await;
    assert_eq!(refused(answer), Code::InvalidDpopProof);
}
