use std::time::Duration;

use super::*;

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
    let mut elsewhere = super::authenticator(&bench);
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
