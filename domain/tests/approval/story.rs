//! A client, somebody it has to do with, and a stranger.

use domain::approval::{
    self, Ask, Asked, Channel, Decide, DecideError, Decision, PersonHint, RedeemError,
};
use domain::identity::Person;
use domain::identity::passkeys::{self, Answer, Enrolled, FinishRegistration, Proof};
use domain::oauth::Client;
use domain::testing::Bench;
use evidence::webauthn::virtual_authenticator::{SYNCED, VirtualAuthenticator};
use serde_json::json;

/// A bench with a client, a person who has to do with it, and one who has not.
pub struct Story {
    pub bench: Bench,
    pub client: Client,
    pub person: Person,
    pub stranger: Person,
}

pub async fn story() -> Story {
    story_on(Bench::new().await).await
}

pub async fn story_on(bench: Bench) -> Story {
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

pub const SESSION: &str = "a session";

pub fn choice(person: &Person, id: &str, decision: Decision) -> Decide {
    Decide {
        approval_id: id.to_owned(),
        person_id: person.id.clone(),
        decision,
        channel: Channel::Browser,
        address: Some("192.0.2.1".to_owned()),
        user_agent: Some("Test/1".to_owned()),
        number: None,
    }
}

pub fn answer(
    authenticator: &mut VirtualAuthenticator,
    person: &Person,
    challenge: &[u8],
) -> Answer {
    let signed = authenticator.get(challenge);
    Answer {
        credential_id: authenticator.credential_id.clone(),
        client_data_json: signed.client_data_json,
        authenticator_data: signed.authenticator_data,
        signature: signed.signature,
        user_handle: Some(person.id.clone().into_bytes()),
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
        approval::decide(&self.bench, choice(person, id, decision)).await
    }

    /// A passkey for somebody, on an authenticator of their own.
    pub async fn enrol(&self, person: &Person) -> VirtualAuthenticator {
        self.enrol_with(person, false).await
    }

    /// As [`Story::enrol`]; one that is synced may be copied to other devices.
    pub async fn enrol_with(&self, person: &Person, synced: bool) -> VirtualAuthenticator {
        let recent = Proof::SignIn {
            at: self.bench.now(),
        };
        self.enrol_on(person, recent, synced).await.0
    }

    /// A further passkey, bound to its device, that an older one vouches for.
    pub async fn enrol_next(
        &self,
        person: &Person,
        older: &mut VirtualAuthenticator,
    ) -> VirtualAuthenticator {
        let asked = passkeys::begin_vouching(&self.bench, &person.id, SESSION)
            .await
            .unwrap();
        let vouched = Proof::Passkey(answer(older, person, &asked.challenge));
        self.enrol_by(person, vouched).await.0
    }

    /// A passkey by this proof, and what came with it.
    pub async fn enrol_by(
        &self,
        person: &Person,
        proof: Proof,
    ) -> (VirtualAuthenticator, Enrolled) {
        self.enrol_on(person, proof, false).await
    }

    async fn enrol_on(
        &self,
        person: &Person,
        proof: Proof,
        synced: bool,
    ) -> (VirtualAuthenticator, Enrolled) {
        let party = passkeys::relying_party(&self.bench).unwrap();
        let mut authenticator = VirtualAuthenticator::new(&party);
        if synced {
            authenticator.flags = SYNCED;
        }
        let creation = passkeys::begin_registration(&self.bench, &person.id, SESSION, proof)
            .await
            .unwrap();
        let created = authenticator.create(&creation.challenge);
        let made = FinishRegistration {
            client_data_json: created.client_data_json,
            attestation_object: created.attestation_object,
            transports: Vec::new(),
            name: "Phone".to_owned(),
        };
        let enrolled = passkeys::finish_registration(&self.bench, &person.id, SESSION, made)
            .await
            .unwrap();
        (authenticator, enrolled)
    }

    /// The decision, signed by this authenticator.
    pub async fn sign(
        &self,
        id: &str,
        decision: Decision,
        authenticator: &mut VirtualAuthenticator,
    ) -> Result<approval::Approval, DecideError> {
        let approval = approval::get(&self.bench, &self.person.id, id)
            .await
            .unwrap()
            .unwrap();
        let challenge = approval::challenge(&self.bench, &approval, decision).hash();
        self.sign_over(id, decision, authenticator, &challenge)
            .await
    }

    /// As [`Story::sign`], over whatever is given.
    pub async fn sign_over(
        &self,
        id: &str,
        decision: Decision,
        authenticator: &mut VirtualAuthenticator,
        challenge: &[u8],
    ) -> Result<approval::Approval, DecideError> {
        let answer = answer(authenticator, &self.person, challenge);
        approval::decide_signed(&self.bench, choice(&self.person, id, decision), answer).await
    }

    /// Somebody with full write access to the database.
    pub async fn tamper(&self, sql: &'static str) {
        let done: Result<u64, domain::storage::Error> = self
            .bench
            .store
            .write(move |tx| Box::pin(async move { tx.execute(sql, vec![]).await }))
            .await;
        assert!(done.unwrap() > 0, "{sql}");
    }

    pub async fn poll(&self, asked: &Asked) -> Result<approval::Approval, RedeemError> {
        approval::poll_and_redeem(&self.bench, &self.client.id, asked.auth_req_id.expose()).await
    }
}
