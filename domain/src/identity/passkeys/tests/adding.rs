use std::time::Duration;

use super::*;

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
    assert_eq!(who.id, person.id);
    assert!(who.passkeys_since.is_some());
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
