//! Who acts: `actor_token`, `act` and `may_act` (RFC 8693 §2.1, §4.1, §4.4).

use serde_json::json;

use super::*;
use crate::identity::Person;
use crate::oauth::access::{self, Presented};
use crate::oauth::clients::{Entrusted, entrust};
use crate::oauth::token::EXCHANGE_RFC;
use crate::oauth::{NewClient, Source};

const ACCESS: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const API: &str = "https://api.test/";

type Known = (Client, Secret<String>);

/// Ada's agent, and a helper that may act with its tokens.
struct Scene {
    bench: Bench,
    ada: Person,
    agent: Known,
    helper: Known,
    stranger: Known,
}

impl Scene {
    async fn new() -> Self {
        let bench = Bench::new().await;
        let ada = bench.person("ada@example.com").await;
        let client = async |name: &str| {
            let mut new = NewClient::confidential(name, Source::Command);
            new.redirect_uris = vec!["https://agent.test/callback".to_owned()];
            new.audiences = vec![API.to_owned()];
            bench.register(new).await
        };
        let mut agent = client("Agent").await;
        let (helper, stranger) = (client("Helper").await, client("Stranger").await);
        let with = Entrusted {
            may_act: Some(helper.0.id.clone()),
            ..Entrusted::default()
        };
        agent.0 = entrust(&bench, None, &agent.0.id, with).await.unwrap();
        Self {
            bench,
            ada,
            agent,
            helper,
            stranger,
        }
    }

    /// What the agent has after Ada allowed it.
    async fn subject(&self) -> Secret<String> {
        let tokens = self.bench.tokens(&self.agent.0, &self.ada, "openid").await;
        tokens.access_token.clone()
    }

    async fn exchange(
        &self,
        (client, secret): &Known,
        subject: &Secret<String>,
        more: &[(&str, &str)],
    ) -> Result<TokenAnswer, OauthError> {
        let mut pairs = vec![
            ("grant_type", EXCHANGE_RFC),
            ("subject_token_type", ACCESS),
            ("subject_token", subject.expose().as_str()),
            ("audience", API),
        ];
        pairs.extend_from_slice(more);
        ask(&self.bench, client, secret, &pairs).await
    }

    async fn said(&self, answer: &TokenAnswer) -> Presented {
        access::verify(&self.bench, answer.access_token.expose(), API)
            .await
            .unwrap()
    }
}

#[tokio::test]
async fn the_client_named_in_may_act_gets_a_token_and_nobody_else_does() {
    let scene = Scene::new().await;
    let subject = scene.subject().await;
    let answer = scene.exchange(&scene.helper, &subject, &[]).await.unwrap();
    let said = scene.said(&answer).await;
    assert_eq!(said.person_id.as_deref(), Some(scene.ada.id.as_str()));
    assert_eq!(said.client_id, scene.helper.0.id);
    assert_eq!(said.act, Some(json!({ "sub": scene.helper.0.id })));
    // It is not handed on.
    assert_eq!(said.may_act, None);
    let stolen = scene.exchange(&scene.stranger, &subject, &[]).await;
    assert_eq!(refused(stolen), Code::InvalidRequest);
}

#[tokio::test]
async fn an_actor_token_says_who_acts() {
    let scene = Scene::new().await;
    let subject = scene.subject().await;
    let (agent, _) = &scene.agent;
    let own = scene.bench.access_token(agent, None, API, &[]);
    let actor = own.expose().as_str();
    for kind in [ACCESS, JWT] {
        let more = [("actor_token", actor), ("actor_token_type", kind)];
        let answer = scene.exchange(&scene.agent, &subject, &more).await.unwrap();
        let act = scene.said(&answer).await.act;
        assert_eq!(act, Some(json!({ "sub": agent.id })));
    }
}

#[tokio::test]
async fn an_actor_token_that_is_not_good_acts_for_nobody() {
    let scene = Scene::new().await;
    let subject = scene.subject().await;
    let bob = scene.bench.person("bob@example.com").await;
    let (agent, helper) = (&scene.agent.0, &scene.helper.0);
    let issue = |client, person| scene.bench.access_token(client, person, API, &[]);
    let others = issue(helper, None);
    // May_act names the helper; Bob is somebody else.
    let bobs = issue(agent, Some(&bob));
    let own = issue(agent, None);
    for (token, kind) in [
        (Some(others.expose().as_str()), Some(ACCESS)),
        (Some(bobs.expose().as_str()), Some(ACCESS)),
        (Some("nonsense"), Some(ACCESS)),
        (Some(own.expose().as_str()), None),
        (
            Some(own.expose().as_str()),
            Some("urn:ietf:params:oauth:token-type:saml2"),
        ),
        (None, Some(ACCESS)),
    ] {
        let more: Vec<_> = [("actor_token", token), ("actor_token_type", kind)]
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect();
        let answer = scene.exchange(&scene.agent, &subject, &more).await;
        assert_eq!(refused(answer), Code::InvalidRequest, "{kind:?}");
    }
}

#[tokio::test]
async fn a_token_may_be_asked_for_as_a_jwt() {
    let scene = Scene::new().await;
    let subject = scene.subject().await;
    let more = [("requested_token_type", JWT)];
    let answer = scene.exchange(&scene.agent, &subject, &more).await.unwrap();
    assert_eq!(answer.issued_token_type.as_deref(), Some(JWT));
    scene.said(&answer).await;
}
