//! A person, their authenticator, and the steps of both ceremonies.

mod adding;
mod recovering;
mod signing_in;

use evidence::digest::base64url;
use evidence::webauthn::WebauthnError;
use evidence::webauthn::virtual_authenticator::{SYNCED, VirtualAuthenticator};

use super::*;
use crate::identity::{self, Person, State};
use crate::testing::Bench;

const SESSION: &str = "a session";

fn authenticator(bench: &Bench) -> VirtualAuthenticator {
    VirtualAuthenticator::new(&relying_party(bench).unwrap())
}

fn recent(bench: &Bench) -> Proof {
    Proof::SignIn { at: bench.now() }
}

/// What the browser makes of a challenge.
fn answer(authenticator: &mut VirtualAuthenticator, person: &str, challenge: &[u8]) -> Answer {
    let signed = authenticator.get(challenge);
    Answer {
        credential_id: authenticator.credential_id.clone(),
        client_data_json: signed.client_data_json,
        authenticator_data: signed.authenticator_data,
        signature: signed.signature,
        user_handle: Some(person.as_bytes().to_vec()),
    }
}

async fn finish(
    bench: &Bench,
    person: &Person,
    authenticator: &VirtualAuthenticator,
    challenge: &[u8],
) -> Result<Enrolled, PasskeyError> {
    let created = authenticator.create(challenge);
    let made = FinishRegistration {
        client_data_json: created.client_data_json,
        attestation_object: created.attestation_object,
        transports: vec!["internal".to_owned(), "No transport!".to_owned()],
        name: " Laptop ".to_owned(),
    };
    finish_registration(bench, &person.id, SESSION, made).await
}

async fn enrol_with(
    bench: &Bench,
    person: &Person,
    authenticator: &VirtualAuthenticator,
    proof: Proof,
) -> Result<Enrolled, PasskeyError> {
    let creation = begin_registration(bench, &person.id, SESSION, proof).await?;
    finish(bench, person, authenticator, &creation.challenge).await
}

/// A person with their first passkey and its recovery codes.
async fn enrolled(
    bench: &Bench,
    email: &str,
) -> (Person, VirtualAuthenticator, Passkey, Vec<Secret<String>>) {
    let person = bench.person(email).await;
    let authenticator = authenticator(bench);
    let made = enrol_with(bench, &person, &authenticator, recent(bench))
        .await
        .unwrap();
    let codes = made.recovery_codes.unwrap();
    (person, authenticator, made.passkey, codes)
}

async fn sign_in(
    bench: &Bench,
    person: &Person,
    authenticator: &mut VirtualAuthenticator,
) -> Result<(Person, Passkey), PasskeyError> {
    let begun = begin_sign_in(bench, SESSION, None).await?;
    let answer = answer(authenticator, &person.id, &begun.challenge);
    finish_sign_in(bench, SESSION, answer).await
}

async fn vouching(
    bench: &Bench,
    person: &Person,
    authenticator: &mut VirtualAuthenticator,
) -> Result<Answer, PasskeyError> {
    let begun = begin_vouching(bench, &person.id, SESSION).await?;
    Ok(answer(authenticator, &person.id, &begun.challenge))
}

async fn events(bench: &Bench, kind: Kind) -> i64 {
    let row = bench
        .store
        .reader()
        .await
        .unwrap()
        .optional(
            "select count(*) as n from events where kind = $1",
            vec![kind.word().into()],
        )
        .await
        .unwrap();
    row.unwrap().get("n").unwrap()
}

async fn tamper(bench: &Bench, sql: &'static str) {
    let done: Result<u64, storage::Error> = bench
        .store
        .write(move |tx| Box::pin(async move { tx.execute(sql, vec![]).await }))
        .await;
    assert!(done.unwrap() > 0, "{sql}");
}

fn is_bad_row<T>(outcome: &Result<T, PasskeyError>, of: &str) -> bool {
    matches!(
        outcome,
        Err(PasskeyError::Storage(storage::Error::BadRow { table, .. })) if *table == of
    )
}
