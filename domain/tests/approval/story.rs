//! A client, somebody it has to do with, and a stranger.

use domain::approval::{
    self, Ask, Asked, Channel, Decide, DecideError, Decision, PersonHint, RedeemError,
};
use domain::identity::Person;
use domain::oauth::Client;
use domain::testing::Bench;
use serde_json::json;

/// A bench with a client, a person who has to do with it, and one who has not.
pub struct Story {
    pub bench: Bench,
    pub client: Client,
    pub person: Person,
    pub stranger: Person,
}

pub async fn story() -> Story {
    let bench = Bench::new().await;
    let (client, _) = bench.client("Release bot").await;
    let person = bench.person("anna@example.com").await;
    let stranger = bench.person("stranger@example.com").await;
    consent(&bench, &client, &person).await;
    Story {
        bench,
        client,
        person,
        stranger,
    }
}

/// The person allows the client by the normal way.
async fn consent(bench: &Bench, client: &Client, person: &Person) {
    use domain::oauth::{self, Params, authorize};
    let params = Params::new([
        ("response_type", "code"),
        ("client_id", client.id.as_str()),
        ("redirect_uri", "https://agent.test/callback"),
        ("scope", "openid offline_access"),
        ("state", "s"),
        (
            "code_challenge",
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        ),
        ("code_challenge_method", "S256"),
    ])
    .unwrap();
    let request = authorize::check(bench, &params).await.unwrap();
    oauth::allow(bench, &person.id, bench.now(), &request, Vec::new())
        .await
        .unwrap();
}

pub fn ask_of(person: &Person) -> Ask {
    Ask {
        person: PersonHint::Id(person.id.clone()),
        scopes: vec!["openid".to_owned()],
        audience: None,
        binding_message: Some("K7-42".to_owned()),
        details: Some(json!([{"type": "deployment", "service": "billing", "version": "2.1"}])),
        requested_expiry_s: None,
        run_id: None,
    }
}

impl Story {
    pub async fn asked(&self) -> Asked {
        approval::ask(&self.bench, &self.client, ask_of(&self.person))
            .await
            .unwrap()
    }

    pub async fn decide(
        &self,
        id: &str,
        decision: Decision,
    ) -> Result<approval::Approval, DecideError> {
        self.decide_as(&self.person, id, decision).await
    }

    pub async fn decide_as(
        &self,
        person: &Person,
        id: &str,
        decision: Decision,
    ) -> Result<approval::Approval, DecideError> {
        let decide = Decide {
            approval_id: id.to_owned(),
            person_id: person.id.clone(),
            decision,
            channel: Channel::Browser,
            address: Some("192.0.2.1".to_owned()),
            user_agent: Some("Test/1".to_owned()),
        };
        approval::decide(&self.bench, decide).await
    }

    pub async fn poll(&self, asked: &Asked) -> Result<approval::Approval, RedeemError> {
        approval::poll_and_redeem(&self.bench, &self.client.id, asked.auth_req_id.expose()).await
    }
}
