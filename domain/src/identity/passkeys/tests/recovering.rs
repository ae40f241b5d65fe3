use std::time::Duration;

use super::*;

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
    let (person, mut old, first, codes) = enrolled(&bench, "ada@example.com").await;
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
    let (named, signed_in) = futures::join!(
        rename(&bench, &person.id, &first.id, "Phone"),
        sign_in(&bench, &person, &mut old)
    );
    named.unwrap();
    signed_in.unwrap();
    // Both were made in the same moment: in a list either may be the first.
    let all = list(&bench, &person.id).await.unwrap();
    let now = all.iter().find(|one| one.id == first.id).unwrap();
    assert_eq!((&*now.name, now.sign_count), ("Phone", 2));
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
    let new = super::authenticator(&bench);
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
