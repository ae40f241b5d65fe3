use std::time::Duration;

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

#[tokio::test]
async fn a_first_passkey_needs_a_recent_sign_in_and_then_signs_in() {
    let bench = Bench::new().await;
    let person = bench.person("ada@example.com").await;
    let mut authenticator = authenticator(&bench);
    for at in [bench.now() - RECENT_MS - 1, bench.now() + 1] {
        let proof = Proof::SignIn { at };
        let refused = begin_registration(&bench, &person.id, SESSION, proof).await;
        assert!(matches!(refused, Err(PasskeyError::SignInAgain)));
    }
    let at = bench.now() - RECENT_MS;
    let creation = begin_registration(&bench, &person.id, SESSION, Proof::SignIn { at })
        .await
        .unwrap();
    assert_eq!(creation.rp_id, "attorn.test");
    assert_eq!(creation.algorithms, [-7, -8, -257]);
    assert_eq!(creation.user_id, person.id);
    let made = finish(&bench, &person, &authenticator, &creation.challenge)
        .await
        .unwrap();
    let passkey = made.passkey;
    assert_eq!((&*passkey.name, &*passkey.alg), ("Laptop", "ES256"));
    assert_eq!(passkey.transports, ["internal"]);
    assert!(passkey.device_bound && passkey.hold_until.is_none());
    assert_eq!(passkey.vouched_by, VouchedBy::SignIn);
    assert_eq!(made.recovery_codes.unwrap().len(), 10);
    bench.advance(Duration::from_secs(60));
    let (who, used) = sign_in(&bench, &person, &mut authenticator).await.unwrap();
    assert_eq!(who, person);
    assert_eq!((used.sign_count, used.last_used_at), (1, Some(bench.now())));
    assert_eq!(list(&bench, &person.id).await.unwrap(), [used]);
    assert_eq!(events(&bench, Kind::PasskeyAdded).await, 1);
    assert_eq!(events(&bench, Kind::SignedIn).await, 1);
}

#[tokio::test]
async fn a_further_passkey_needs_an_assertion_by_an_older_one() {
    let bench = Bench::new().await;
    let (person, mut old, first, _) = enrolled(&bench, "ada@example.com").await;
    let new = authenticator(&bench);
    let refused = begin_registration(&bench, &person.id, SESSION, recent(&bench)).await;
    assert!(matches!(refused, Err(PasskeyError::NeedsPasskey)));
    let vouched = vouching(&bench, &person, &mut old).await.unwrap();
    let proof = Proof::Passkey(vouched.clone());
    let creation = begin_registration(&bench, &person.id, SESSION, proof)
        .await
        .unwrap();
    assert_eq!(creation.exclude.len(), 1);
    let made = finish(&bench, &person, &new, &creation.challenge)
        .await
        .unwrap();
    assert_eq!(made.passkey.vouched_by, VouchedBy::Passkey(first.id));
    assert!(made.recovery_codes.is_none() && made.passkey.hold_until.is_none());
    // The same answer does not vouch twice.
    let again = begin_registration(&bench, &person.id, SESSION, Proof::Passkey(vouched)).await;
    assert!(matches!(again, Err(PasskeyError::Challenge)));
}

#[tokio::test]
async fn a_passkey_does_not_vouch_for_somebody_else() {
    let bench = Bench::new().await;
    let (ada, mut hers, _, _) = enrolled(&bench, "ada@example.com").await;
    let (eve, mut eves, _, _) = enrolled(&bench, "eve@example.com").await;
    let vouched = vouching(&bench, &eve, &mut eves).await.unwrap();
    let refused = begin_registration(&bench, &ada.id, SESSION, Proof::Passkey(vouched)).await;
    assert!(matches!(refused, Err(PasskeyError::Challenge)));
    // Nor does it answer a challenge that was asked of another person.
    let begun = begin_vouching(&bench, &ada.id, SESSION).await.unwrap();
    let by_eve = answer(&mut eves, &eve.id, &begun.challenge);
    let refused = begin_registration(&bench, &ada.id, SESSION, Proof::Passkey(by_eve)).await;
    assert!(matches!(refused, Err(PasskeyError::Unknown)));
    let vouched = vouching(&bench, &ada, &mut hers).await.unwrap();
    begin_registration(&bench, &ada.id, SESSION, Proof::Passkey(vouched))
        .await
        .unwrap();
}

#[tokio::test]
async fn who_revoked_all_passkeys_does_not_get_back_in_by_the_password_alone() {
    let bench = Bench::new().await;
    let (person, mut authenticator, passkey, codes) = enrolled(&bench, "ada@example.com").await;
    revoke(&bench, &person.id, &passkey.id).await.unwrap();
    assert!(list(&bench, &person.id).await.unwrap().is_empty());
    let refused = sign_in(&bench, &person, &mut authenticator).await;
    assert!(matches!(refused, Err(PasskeyError::Unknown)));
    let refused = begin_registration(&bench, &person.id, SESSION, recent(&bench)).await;
    assert!(matches!(refused, Err(PasskeyError::NeedsPasskey)));
    let refused = begin_vouching(&bench, &person.id, SESSION).await;
    assert!(matches!(refused, Err(PasskeyError::Unknown)));
    let refused = renew_codes(&bench, &person.id, SESSION, recent(&bench)).await;
    assert!(matches!(refused, Err(PasskeyError::NeedsPasskey)));
    let proof = Proof::RecoveryCode(codes[0].clone());
    begin_registration(&bench, &person.id, SESSION, proof)
        .await
        .unwrap();
    // What was revoked is not added again under its old id either.
    let twice = revoke(&bench, &person.id, &passkey.id).await;
    assert!(matches!(twice, Err(PasskeyError::Unknown)));
    assert_eq!(events(&bench, Kind::PasskeyRevoked).await, 1);
}

#[tokio::test]
async fn a_challenge_is_answered_once_in_time_and_by_its_own_session() {
    let bench = Bench::new().await;
    let (person, mut authenticator, _, _) = enrolled(&bench, "ada@example.com").await;
    let begun = begin_sign_in(&bench, SESSION, None).await.unwrap();
    let good = answer(&mut authenticator, &person.id, &begun.challenge);
    let other = finish_sign_in(&bench, "another session", good.clone()).await;
    assert!(matches!(other, Err(PasskeyError::Challenge)));
    // The wrong session has used it up.
    let late = finish_sign_in(&bench, SESSION, good).await;
    assert!(matches!(late, Err(PasskeyError::Challenge)));

    let begun = begin_sign_in(&bench, SESSION, None).await.unwrap();
    let good = answer(&mut authenticator, &person.id, &begun.challenge);
    finish_sign_in(&bench, SESSION, good.clone()).await.unwrap();
    let twice = finish_sign_in(&bench, SESSION, good).await;
    assert!(matches!(twice, Err(PasskeyError::Challenge)));

    for (wait, in_time) in [(CHALLENGE_MS - 1, true), (CHALLENGE_MS, false)] {
        let begun = begin_sign_in(&bench, SESSION, None).await.unwrap();
        bench.advance(Duration::from_millis(u64::try_from(wait).unwrap()));
        let answer = answer(&mut authenticator, &person.id, &begun.challenge);
        let outcome = finish_sign_in(&bench, SESSION, answer).await;
        assert_eq!(outcome.is_ok(), in_time);
    }
    let mut never_asked = answer(&mut authenticator, &person.id, &[7; 32]);
    let refused = finish_sign_in(&bench, SESSION, never_asked.clone()).await;
    assert!(matches!(refused, Err(PasskeyError::Challenge)));
    never_asked.client_data_json = b"{}".to_vec();
    let refused = finish_sign_in(&bench, SESSION, never_asked).await;
    assert!(matches!(refused, Err(PasskeyError::Webauthn(_))));
}

#[tokio::test]
async fn a_challenge_counts_for_its_own_purpose_only() {
    let bench = Bench::new().await;
    let (person, mut authenticator, _, _) = enrolled(&bench, "ada@example.com").await;
    let begun = begin_sign_in(&bench, SESSION, None).await.unwrap();
    let signed_in = answer(&mut authenticator, &person.id, &begun.challenge);
    let proof = Proof::Passkey(signed_in);
    let refused = begin_registration(&bench, &person.id, SESSION, proof).await;
    assert!(matches!(refused, Err(PasskeyError::Challenge)));
    let vouched = vouching(&bench, &person, &mut authenticator).await.unwrap();
    let refused = finish_sign_in(&bench, SESSION, vouched).await;
    assert!(matches!(refused, Err(PasskeyError::Challenge)));
    let begun = begin_vouching(&bench, &person.id, SESSION).await.unwrap();
    let refused = finish(&bench, &person, &authenticator, &begun.challenge).await;
    assert!(matches!(refused, Err(PasskeyError::Challenge)));
}

#[tokio::test]
async fn a_refused_answer_uses_the_challenge_up_and_is_on_record() {
    let bench = Bench::new().await;
    let (person, mut authenticator, passkey, _) = enrolled(&bench, "ada@example.com").await;
    let begun = begin_sign_in(&bench, SESSION, None).await.unwrap();
    let good = answer(&mut authenticator, &person.id, &begun.challenge);
    let mut bad = good.clone();
    *bad.signature.last_mut().unwrap() ^= 1;
    let refused = finish_sign_in(&bench, SESSION, bad).await;
    assert!(matches!(
        refused,
        Err(PasskeyError::Webauthn(WebauthnError::Signature))
    ));
    let late = finish_sign_in(&bench, SESSION, good).await;
    assert!(matches!(late, Err(PasskeyError::Challenge)));
    assert_eq!(events(&bench, Kind::PasskeyRefused).await, 1);
    assert_eq!(list(&bench, &person.id).await.unwrap(), [passkey]);

    let creation_of = |proof| begin_registration(&bench, &person.id, SESSION, proof);
    let vouched = vouching(&bench, &person, &mut authenticator).await.unwrap();
    let creation = creation_of(Proof::Passkey(vouched)).await.unwrap();
    let mut elsewhere = super::tests::authenticator(&bench);
    elsewhere.origin = "https://attorn.test.evil".to_owned();
    let refused = finish(&bench, &person, &elsewhere, &creation.challenge).await;
    assert!(matches!(
        refused,
        Err(PasskeyError::Webauthn(WebauthnError::Origin))
    ));
    elsewhere.origin = "https://attorn.test".to_owned();
    let late = finish(&bench, &person, &elsewhere, &creation.challenge).await;
    assert!(matches!(late, Err(PasskeyError::Challenge)));
}

#[tokio::test]
async fn a_counter_that_goes_back_is_refused_and_on_record() {
    let bench = Bench::new().await;
    let (person, mut authenticator, _, _) = enrolled(&bench, "ada@example.com").await;
    authenticator.sign_count = 40;
    sign_in(&bench, &person, &mut authenticator).await.unwrap();
    for behind in [0, 30, 40] {
        authenticator.sign_count = behind;
        let refused = sign_in(&bench, &person, &mut authenticator).await;
        assert!(matches!(
            refused,
            Err(PasskeyError::Webauthn(WebauthnError::Counter))
        ));
    }
    assert_eq!(events(&bench, Kind::PasskeyCounter).await, 3);
    assert_eq!(list(&bench, &person.id).await.unwrap()[0].sign_count, 41);
    sign_in(&bench, &person, &mut authenticator).await.unwrap();
}

#[tokio::test]
async fn a_passkey_that_does_not_count_signs_in_again_and_again() {
    let bench = Bench::new().await;
    let person = bench.person("ada@example.com").await;
    let mut authenticator = authenticator(&bench);
    (authenticator.counts, authenticator.flags) = (false, SYNCED);
    let made = enrol_with(&bench, &person, &authenticator, recent(&bench)).await;
    let passkey = made.unwrap().passkey;
    assert!(!passkey.device_bound && passkey.backed_up);
    for _ in 0..2 {
        sign_in(&bench, &person, &mut authenticator).await.unwrap();
    }
    // It cannot become one that is bound to its device.
    authenticator.flags = 0x05;
    let refused = sign_in(&bench, &person, &mut authenticator).await;
    assert!(matches!(
        refused,
        Err(PasskeyError::Webauthn(WebauthnError::BackupEligibility))
    ));
}

#[tokio::test]
async fn a_recovery_code_gives_a_passkey_that_is_on_hold_for_a_day() {
    let bench = Bench::new().await;
    let (person, _, _, codes) = enrolled(&bench, "ada@example.com").await;
    let mut new = authenticator(&bench);
    // As people type it.
    let typed = codes[3].expose().to_uppercase().replace('-', " ");
    let proof = Proof::RecoveryCode(Secret::new(typed.replace('0', "O")));
    let made = enrol_with(&bench, &person, &new, proof).await.unwrap();
    let until = bench.now() + HOLD_MS;
    assert_eq!(made.passkey.hold_until, Some(until));
    assert!(made.recovery_codes.is_none());
    assert!(matches!(made.passkey.vouched_by, VouchedBy::Recovery(_)));
    assert_eq!(codes_left(&bench, &person.id).await.unwrap(), 9);
    assert_eq!(events(&bench, Kind::RecoveryCodeUsed).await, 1);
    let refused = sign_in(&bench, &person, &mut new).await;
    assert!(matches!(refused, Err(PasskeyError::OnHold { until: at }) if at == until));
    let refused = vouching(&bench, &person, &mut new).await.unwrap();
    let refused = begin_registration(&bench, &person.id, SESSION, Proof::Passkey(refused)).await;
    assert!(matches!(refused, Err(PasskeyError::OnHold { .. })));
    let again = Proof::RecoveryCode(codes[3].clone());
    let used = begin_registration(&bench, &person.id, SESSION, again).await;
    assert!(matches!(used, Err(PasskeyError::RecoveryCode)));
    bench.advance(Duration::from_millis(u64::try_from(HOLD_MS).unwrap() - 1));
    assert!(sign_in(&bench, &person, &mut new).await.is_err());
    bench.advance(Duration::from_millis(1));
    sign_in(&bench, &person, &mut new).await.unwrap();
}

#[tokio::test]
async fn a_recovery_code_is_used_up_only_by_a_passkey_that_is_there() {
    let bench = Bench::new().await;
    let (person, old, _, codes) = enrolled(&bench, "ada@example.com").await;
    let code = || Proof::RecoveryCode(codes[0].clone());
    let known = enrol_with(&bench, &person, &old, code()).await;
    assert!(matches!(known, Err(PasskeyError::Known)));
    assert_eq!(codes_left(&bench, &person.id).await.unwrap(), 10);
    // Two begun with one code: the second finds it used.
    let begin = || begin_registration(&bench, &person.id, SESSION, code());
    let (one, two) = (begin().await.unwrap(), begin().await.unwrap());
    let first = finish(&bench, &person, &authenticator(&bench), &one.challenge).await;
    assert!(first.is_ok());
    let second = finish(&bench, &person, &authenticator(&bench), &two.challenge).await;
    assert!(matches!(second, Err(PasskeyError::RecoveryCode)));
    assert_eq!(codes_left(&bench, &person.id).await.unwrap(), 9);
    assert_eq!(list(&bench, &person.id).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_recovery_code_is_its_persons_and_wrong_ones_are_counted() {
    let bench = Bench::new().await;
    let (ada, _, _, _) = enrolled(&bench, "ada@example.com").await;
    let (_, _, _, eves) = enrolled(&bench, "eve@example.com").await;
    let wrong = || Proof::RecoveryCode(eves[0].clone());
    for _ in 0..10 {
        let refused = begin_registration(&bench, &ada.id, SESSION, wrong()).await;
        assert!(matches!(refused, Err(PasskeyError::RecoveryCode)));
    }
    let refused = begin_registration(&bench, &ada.id, SESSION, wrong()).await;
    assert!(matches!(refused, Err(PasskeyError::TooOften(_))));
}

#[tokio::test]
async fn renewed_codes_replace_the_old_ones_and_need_a_passkey() {
    let bench = Bench::new().await;
    let (person, mut authenticator, _, old) = enrolled(&bench, "ada@example.com").await;
    for proof in [recent(&bench), Proof::RecoveryCode(old[0].clone())] {
        let refused = renew_codes(&bench, &person.id, SESSION, proof).await;
        assert!(matches!(refused, Err(PasskeyError::NeedsPasskey)));
    }
    let vouched = vouching(&bench, &person, &mut authenticator).await.unwrap();
    let new = renew_codes(&bench, &person.id, SESSION, Proof::Passkey(vouched))
        .await
        .unwrap();
    let distinct: std::collections::BTreeSet<_> =
        new.iter().map(|code| code.expose().clone()).collect();
    assert_eq!(distinct.len(), 10);
    let proof = Proof::RecoveryCode(old[0].clone());
    let refused = begin_registration(&bench, &person.id, SESSION, proof).await;
    assert!(matches!(refused, Err(PasskeyError::RecoveryCode)));
    let proof = Proof::RecoveryCode(new[0].clone());
    begin_registration(&bench, &person.id, SESSION, proof)
        .await
        .unwrap();
}

#[tokio::test]
async fn an_admin_helps_back_with_a_code_and_no_further() {
    let bench = Bench::new().await;
    let (person, _, passkey, _) = enrolled(&bench, "ada@example.com").await;
    let root = bench.admin("root@example.com").await;
    let eve = bench.person("eve@example.com").await;
    for (by, of) in [(&eve.id, &person.id), (&root.id, &root.id)] {
        let refused = help_back(&bench, Some(by), of).await;
        assert!(matches!(refused, Err(PasskeyError::NotAllowed)));
    }
    let nobody = help_back(&bench, Some(&root.id), "per_nobody").await;
    assert!(matches!(nobody, Err(PasskeyError::Locked)));
    revoke(&bench, &person.id, &passkey.id).await.unwrap();
    let code = help_back(&bench, Some(&root.id), &person.id).await.unwrap();
    assert_eq!(codes_left(&bench, &person.id).await.unwrap(), 11);
    let proof = Proof::RecoveryCode(code);
    let made = enrol_with(&bench, &person, &authenticator(&bench), proof).await;
    assert!(made.unwrap().passkey.on_hold(bench.now()));
    help_back(&bench, None, &person.id).await.unwrap();
    assert_eq!(events(&bench, Kind::RecoveryCodesIssued).await, 3);
}

#[tokio::test]
async fn of_many_answers_to_one_challenge_and_many_uses_of_one_code_one_counts() {
    let bench = Bench::new().await;
    let (person, mut old, _, codes) = enrolled(&bench, "ada@example.com").await;
    let begun = begin_sign_in(&bench, SESSION, None).await.unwrap();
    let answer = answer(&mut old, &person.id, &begun.challenge);
    let tries = (0..8).map(|_| finish_sign_in(&bench, SESSION, answer.clone()));
    let done = futures::future::join_all(tries).await;
    assert_eq!(done.iter().filter(|one| one.is_ok()).count(), 1);

    let mut begun = Vec::new();
    for _ in 0..8 {
        let proof = Proof::RecoveryCode(codes[0].clone());
        let creation = begin_registration(&bench, &person.id, SESSION, proof).await;
        begun.push((authenticator(&bench), creation.unwrap().challenge));
    }
    let tries = begun
        .iter()
        .map(|(authenticator, challenge)| finish(&bench, &person, authenticator, challenge));
    let done = futures::future::join_all(tries).await;
    assert_eq!(done.iter().filter(|one| one.is_ok()).count(), 1);
    assert_eq!(list(&bench, &person.id).await.unwrap().len(), 2);

    // A name and a use at once: neither loses the other's change.
    let id = list(&bench, &person.id).await.unwrap()[0].id.clone();
    let (named, signed_in) = futures::join!(
        rename(&bench, &person.id, &id, "Phone"),
        sign_in(&bench, &person, &mut old)
    );
    named.unwrap();
    signed_in.unwrap();
    let now = &list(&bench, &person.id).await.unwrap()[0];
    assert_eq!((&*now.name, now.sign_count), ("Phone", 2));
}

#[tokio::test]
async fn what_vouched_must_still_stand_when_the_passkey_is_made() {
    let bench = Bench::new().await;
    let (person, mut old, first, _) = enrolled(&bench, "ada@example.com").await;
    let vouched = vouching(&bench, &person, &mut old).await.unwrap();
    let creation = begin_registration(&bench, &person.id, SESSION, Proof::Passkey(vouched))
        .await
        .unwrap();
    revoke(&bench, &person.id, &first.id).await.unwrap();
    let refused = finish(&bench, &person, &authenticator(&bench), &creation.challenge).await;
    assert!(matches!(refused, Err(PasskeyError::NeedsPasskey)));

    // Two first ones begun at once: only one is the first.
    let eve = bench.person("eve@example.com").await;
    let begin = || begin_registration(&bench, &eve.id, SESSION, recent(&bench));
    let (one, two) = (begin().await.unwrap(), begin().await.unwrap());
    let first = finish(&bench, &eve, &authenticator(&bench), &one.challenge).await;
    assert!(first.is_ok());
    let second = finish(&bench, &eve, &authenticator(&bench), &two.challenge).await;
    assert!(matches!(second, Err(PasskeyError::NeedsPasskey)));
}

#[tokio::test]
async fn a_credential_is_registered_once_for_anybody() {
    let bench = Bench::new().await;
    let (_, hers, _, _) = enrolled(&bench, "ada@example.com").await;
    let eve = bench.person("eve@example.com").await;
    let known = enrol_with(&bench, &eve, &hers, recent(&bench)).await;
    assert!(matches!(known, Err(PasskeyError::Known)));
}

#[tokio::test]
async fn who_is_locked_neither_signs_in_nor_adds_a_passkey() {
    let bench = Bench::new().await;
    let (person, mut authenticator, _, _) = enrolled(&bench, "ada@example.com").await;
    let vouched = vouching(&bench, &person, &mut authenticator).await.unwrap();
    identity::set_state(&bench, None, &person.id, State::Locked)
        .await
        .unwrap();
    let refused = sign_in(&bench, &person, &mut authenticator).await;
    assert!(matches!(refused, Err(PasskeyError::Locked)));
    assert_eq!(events(&bench, Kind::SignInRefused).await, 1);
    let refused = begin_registration(&bench, &person.id, SESSION, Proof::Passkey(vouched)).await;
    assert!(matches!(refused, Err(PasskeyError::Locked)));
}

#[tokio::test]
async fn the_user_handle_must_be_the_owners() {
    let bench = Bench::new().await;
    let (person, mut authenticator, _, _) = enrolled(&bench, "ada@example.com").await;
    for handle in [None, Some(b"per_other".to_vec()), Some(Vec::new())] {
        let begun = begin_sign_in(&bench, SESSION, None).await.unwrap();
        let mut answer = answer(&mut authenticator, &person.id, &begun.challenge);
        answer.user_handle = handle;
        let refused = finish_sign_in(&bench, SESSION, answer).await;
        assert!(matches!(refused, Err(PasskeyError::Unknown)));
    }
}

#[tokio::test]
async fn a_person_has_twenty_passkeys_at_most() {
    let bench = Bench::new().await;
    let (person, mut old, _, _) = enrolled(&bench, "ada@example.com").await;
    for _ in 1..MOST {
        let vouched = vouching(&bench, &person, &mut old).await.unwrap();
        enrol_with(
            &bench,
            &person,
            &authenticator(&bench),
            Proof::Passkey(vouched),
        )
        .await
        .unwrap();
    }
    let vouched = vouching(&bench, &person, &mut old).await.unwrap();
    let refused = begin_registration(&bench, &person.id, SESSION, Proof::Passkey(vouched)).await;
    assert!(matches!(refused, Err(PasskeyError::TooMany)));
}

#[tokio::test]
async fn a_passkey_has_the_name_its_person_gives_it() {
    let bench = Bench::new().await;
    let (person, _, passkey, _) = enrolled(&bench, "ada@example.com").await;
    let eve = bench.person("eve@example.com").await;
    let renamed = rename(&bench, &person.id, &passkey.id, " Phone ").await;
    assert_eq!(renamed.unwrap().name, "Phone");
    assert_eq!(list(&bench, &person.id).await.unwrap()[0].name, "Phone");
    let refused = rename(&bench, &eve.id, &passkey.id, "Mine").await;
    assert!(matches!(refused, Err(PasskeyError::Unknown)));
    let refused = revoke(&bench, &eve.id, &passkey.id).await;
    assert!(matches!(refused, Err(PasskeyError::Unknown)));
    for bad in ["", "  ", "a\nb", &"x".repeat(61)] {
        let refused = rename(&bench, &person.id, &passkey.id, bad).await;
        assert!(matches!(refused, Err(PasskeyError::Name)));
    }
}

#[tokio::test]
async fn a_row_that_another_hand_wrote_is_refused() {
    let bench = Bench::new().await;
    let (person, mut authenticator, _, codes) = enrolled(&bench, "ada@example.com").await;
    // A challenge that says it was vouched for.
    let begun = begin_vouching(&bench, &person.id, SESSION).await.unwrap();
    tamper(
        &bench,
        "update webauthn_challenges set purpose = 'register', vouched_by = 'sign-in'",
    )
    .await;
    let new = super::tests::authenticator(&bench);
    let refused = finish(&bench, &person, &new, &begun.challenge).await;
    assert!(is_bad_row(&refused, "webauthn_challenges"));
    // A code that is unused again.
    tamper(&bench, "update recovery_codes set used_at = 1").await;
    let proof = Proof::RecoveryCode(codes[0].clone());
    let refused = begin_registration(&bench, &person.id, SESSION, proof).await;
    assert!(is_bad_row(&refused, "recovery_codes"));
    // Another person's passkey, a lower counter, an earlier end of a hold.
    for (sql, undo) in [
        (
            "update passkeys set sign_count = sign_count + 1",
            "update passkeys set sign_count = sign_count - 1",
        ),
        (
            "update passkeys set device_bound = false",
            "update passkeys set device_bound = true",
        ),
        (
            "update passkeys set hold_until = 1",
            "update passkeys set hold_until = null",
        ),
        (
            "update passkeys set name = name || '.'",
            "update passkeys set name = 'Laptop'",
        ),
    ] {
        let begun = begin_sign_in(&bench, SESSION, None).await.unwrap();
        let answer = answer(&mut authenticator, &person.id, &begun.challenge);
        tamper(&bench, sql).await;
        let outcome = finish_sign_in(&bench, SESSION, answer).await;
        assert!(is_bad_row(&outcome, "passkeys"), "{sql}");
        tamper(&bench, undo).await;
    }
    sign_in(&bench, &person, &mut authenticator).await.unwrap();
}

#[tokio::test]
async fn the_audit_log_names_the_key_and_what_vouched_for_it() {
    let bench = Bench::new().await;
    let (_, authenticator, passkey, _) = enrolled(&bench, "ada@example.com").await;
    let row = bench
        .store
        .reader()
        .await
        .unwrap()
        .optional(
            "select leaf from events where kind = $1",
            vec![Kind::PasskeyAdded.word().into()],
        )
        .await
        .unwrap();
    let leaf: Vec<u8> = row.unwrap().get("leaf").unwrap();
    let leaf: serde_json::Value = serde_json::from_slice(&leaf).unwrap();
    let key = base64url(&sha256(&authenticator.cose_key()));
    assert_eq!(leaf["data"]["key"], key);
    assert_eq!(leaf["data"]["passkey"], passkey.id);
    assert_eq!(leaf["data"]["vouched_by"], "sign-in");
    assert_eq!(leaf["data"]["device_bound"], true);
}

#[tokio::test]
async fn only_expired_challenges_are_swept() {
    let bench = Bench::new().await;
    begin_sign_in(&bench, SESSION, None).await.unwrap();
    bench.advance(Duration::from_secs(240));
    begin_sign_in(&bench, SESSION, None).await.unwrap();
    bench.advance(Duration::from_secs(60));
    assert_eq!(sweep(&bench).await.unwrap(), 1);
    assert_eq!(sweep(&bench).await.unwrap(), 0);
}

#[tokio::test]
async fn sign_ins_begun_from_one_address_are_counted() {
    let bench = Bench::new().await;
    for _ in 0..30 {
        begin_sign_in(&bench, SESSION, Some("192.0.2.1"))
            .await
            .unwrap();
    }
    let refused = begin_sign_in(&bench, SESSION, Some("192.0.2.1")).await;
    assert!(matches!(refused, Err(PasskeyError::TooOften(_))));
    begin_sign_in(&bench, SESSION, Some("192.0.2.2"))
        .await
        .unwrap();
}
