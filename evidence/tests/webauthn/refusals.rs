//! Every check refuses by its own name, with a signature that is good.

use evidence::webauthn::virtual_authenticator::{
    BOUND, SYNCED, VirtualAuthenticator, attestation_object,
};
use evidence::webauthn::{
    Asked, Asserted, Assertion, Attestation, CborError, PublicKey, Registered, Registration,
    RelyingParty, WebauthnError,
};

const CHALLENGE: &[u8] = b"a challenge of some length";

fn party() -> RelyingParty {
    RelyingParty::of_issuer("https://attorn.example/").unwrap()
}

fn passkey() -> VirtualAuthenticator {
    VirtualAuthenticator::new(&party())
}

fn asked(party: &RelyingParty) -> Asked<'_> {
    Asked {
        relying_party: party,
        challenge: CHALLENGE,
        user_verification: true,
    }
}

fn asserted(
    passkey: &mut VirtualAuthenticator,
    backup_eligible: bool,
) -> Result<Asserted, WebauthnError> {
    let key = PublicKey::from_cose(&passkey.cose_key()).unwrap();
    let signed = passkey.get(CHALLENGE);
    signed
        .assertion()
        .verify(&asked(&party()), &key, backup_eligible)
}

/// Whatever this authenticator data is, signed as it should be.
fn asserted_with(
    passkey: &VirtualAuthenticator,
    authenticator_data: Vec<u8>,
) -> Result<Asserted, WebauthnError> {
    let key = PublicKey::from_cose(&passkey.cose_key()).unwrap();
    let client_data = passkey.client_data("webauthn.get", CHALLENGE);
    let signed = passkey.sign(client_data, authenticator_data);
    signed.assertion().verify(&asked(&party()), &key, false)
}

#[test]
fn a_good_assertion_counts() {
    let mut passkey = passkey();
    passkey.sign_count = 6;
    let said = asserted(&mut passkey, false).unwrap();
    let expected = Asserted {
        user_verified: true,
        backup_eligible: false,
        backed_up: false,
        sign_count: 7,
    };
    assert_eq!(said, expected);
    passkey.flags = SYNCED;
    assert!(asserted(&mut passkey, true).unwrap().backed_up);
}

#[test]
fn the_flags_are_checked_one_by_one() {
    for (flags, backup_eligible, why) in [
        (0x04, false, WebauthnError::NotPresent),
        (0x01, false, WebauthnError::NotVerified),
        (0x15, false, WebauthnError::BackupState),
        (SYNCED, false, WebauthnError::BackupEligibility),
        (BOUND, true, WebauthnError::BackupEligibility),
    ] {
        let mut passkey = passkey();
        passkey.flags = flags;
        assert_eq!(
            asserted(&mut passkey, backup_eligible),
            Err(why),
            "{flags:x}"
        );
    }
}

#[test]
fn verification_is_demanded_only_where_it_is_asked_for() {
    let mut passkey = passkey();
    passkey.flags = 0x01;
    let key = PublicKey::from_cose(&passkey.cose_key()).unwrap();
    let signed = passkey.get(CHALLENGE);
    let party = party();
    let touch = Asked {
        user_verification: false,
        ..asked(&party)
    };
    let said = signed.assertion().verify(&touch, &key, false).unwrap();
    assert!(!said.user_verified);
}

#[test]
fn another_relying_party_origin_or_challenge_is_refused() {
    let mut other = passkey();
    other.rp_id = "example".into();
    assert_eq!(
        asserted(&mut other, false),
        Err(WebauthnError::RelyingParty)
    );
    let mut other = passkey();
    other.origin = "https://attorn.example:8443".into();
    assert_eq!(asserted(&mut other, false), Err(WebauthnError::Origin));
    let mut passkey = passkey();
    let key = PublicKey::from_cose(&passkey.cose_key()).unwrap();
    let signed = passkey.get(b"another challenge");
    let outcome = signed.assertion().verify(&asked(&party()), &key, false);
    assert_eq!(outcome, Err(WebauthnError::Challenge));
}

#[test]
fn a_registration_does_not_stand_for_an_assertion() {
    let passkey = passkey();
    let key = PublicKey::from_cose(&passkey.cose_key()).unwrap();
    let client_data = passkey.client_data("webauthn.create", CHALLENGE);
    let signed = passkey.sign(client_data, passkey.authenticator_data(BOUND, &[]));
    let outcome = signed.assertion().verify(&asked(&party()), &key, false);
    assert_eq!(outcome, Err(WebauthnError::Type));
}

#[test]
fn authenticator_data_is_read_to_its_last_byte() {
    let passkey = passkey();
    let data = |flags: u8, more: &[u8]| passkey.authenticator_data(flags, more);
    assert!(asserted_with(&passkey, data(BOUND, &[])).is_ok());
    // {"hmac-secret": true}
    let extension = b"\xa1\x6bhmac-secret\xf5";
    assert!(asserted_with(&passkey, data(BOUND | 0x80, extension)).is_ok());
    for (bytes, why) in [
        (data(BOUND, b"\xa0"), WebauthnError::Trailing),
        (data(BOUND, extension), WebauthnError::Trailing),
        (data(BOUND | 0x80, b"\xa0\xa0"), WebauthnError::Trailing),
        (
            data(BOUND | 0x80, b""),
            WebauthnError::Cbor(CborError::Unexpected),
        ),
        (
            data(BOUND | 0x80, b"\xbf\xff"),
            WebauthnError::Cbor(CborError::NotCanonical),
        ),
        (
            data(BOUND | 0x80, &extension[..12]),
            WebauthnError::Cbor(CborError::Truncated),
        ),
        (
            data(BOUND | 0x40, &passkey.attested()),
            WebauthnError::AttestedData,
        ),
        (data(BOUND, &[])[..36].to_vec(), WebauthnError::Truncated),
        (Vec::new(), WebauthnError::Truncated),
        (
            data(BOUND, &[0; 8192]),
            WebauthnError::TooLong("the authenticator data"),
        ),
    ] {
        assert_eq!(asserted_with(&passkey, bytes), Err(why));
    }
}

#[test]
fn a_signature_by_another_key_over_other_bytes_or_of_no_form_is_refused() {
    let (mut passkey, other) = (passkey(), passkey());
    let key = PublicKey::from_cose(&passkey.cose_key()).unwrap();
    let signed = passkey.get(CHALLENGE);
    let with = |signature: &[u8]| {
        let assertion = Assertion {
            signature,
            ..signed.assertion()
        };
        assertion.verify(&asked(&party()), &key, false)
    };
    assert!(with(&signed.signature).is_ok());
    let by_other = other.sign(
        signed.client_data_json.clone(),
        signed.authenticator_data.clone(),
    );
    for wrong in [&by_other.signature[..], &[], &[0x30, 0], &[0; 64]] {
        assert_eq!(with(wrong), Err(WebauthnError::Signature));
    }
    assert_eq!(
        with(&[0; 1025]),
        Err(WebauthnError::TooLong("the signature"))
    );
    // BER where DER belongs: a longer form of the outermost length.
    let ber = [&[0x30, 0x81], &signed.signature[1..]].concat();
    assert_eq!(with(&ber), Err(WebauthnError::Signature));
}

fn registered(object: &[u8]) -> Result<Registered, WebauthnError> {
    let client_data_json = passkey().client_data("webauthn.create", CHALLENGE);
    let registration = Registration {
        client_data_json: &client_data_json,
        attestation_object: object,
    };
    registration.verify(&asked(&party()))
}

#[test]
fn a_good_registration_gives_the_passkey() {
    let passkey = passkey();
    let created = passkey.create(CHALLENGE);
    let made = created.registration().verify(&asked(&party())).unwrap();
    assert_eq!(made.credential_id, passkey.credential_id);
    assert_eq!(made.public_key.as_cose(), passkey.cose_key());
    assert_eq!(made.attestation, Attestation::None);
    assert!(!made.backup_eligible && made.user_verified);
}

#[test]
fn an_assertion_does_not_stand_for_a_registration() {
    let created = passkey().create(CHALLENGE);
    let client_data_json = passkey().client_data("webauthn.get", CHALLENGE);
    let registration = Registration {
        client_data_json: &client_data_json,
        attestation_object: &created.attestation_object,
    };
    let outcome = registration.verify(&asked(&party()));
    assert_eq!(outcome, Err(WebauthnError::Type));
}

#[test]
fn the_flags_of_a_registration_are_checked_too() {
    for (flags, why) in [
        (0x04, WebauthnError::NotPresent),
        (0x01, WebauthnError::NotVerified),
        (0x15, WebauthnError::BackupState),
    ] {
        let mut passkey = passkey();
        passkey.flags = flags;
        let object = passkey.create(CHALLENGE).attestation_object;
        assert_eq!(registered(&object), Err(why), "{flags:x}");
    }
    let mut other = passkey();
    other.rp_id = "attorn.example.evil".into();
    let object = other.create(CHALLENGE).attestation_object;
    assert_eq!(registered(&object), Err(WebauthnError::RelyingParty));
}

#[test]
fn only_none_and_self_attestation_are_taken() {
    let passkey = passkey();
    let data = passkey.authenticator_data(BOUND | 0x40, &passkey.attested());
    let object = |format: &str, statement: &[u8]| attestation_object(format, statement, &data);
    assert!(registered(&object("none", b"\xa0")).is_ok());
    let client_data = passkey.client_data("webauthn.create", CHALLENGE);
    let signature = passkey.sign(client_data, data.clone()).signature;
    let length = u8::try_from(signature.len()).unwrap();
    let with = |alg: &[u8], signature: &[u8]| {
        [
            &b"\xa2\x63alg"[..],
            alg,
            b"\x63sig\x58",
            &[length],
            signature,
        ]
        .concat()
    };
    let made = registered(&object("packed", &with(b"\x26", &signature))).unwrap();
    assert_eq!(made.attestation, Attestation::Itself);
    let mut flipped = signature.clone();
    flipped[40] ^= 1;
    let certified = [b"\xa3", &with(b"\x26", &signature)[1..], b"\x63x5c\x80"].concat();
    for (format, statement, why) in [
        ("packed", with(b"\x26", &flipped), WebauthnError::Signature),
        (
            "packed",
            with(b"\x27", &signature),
            WebauthnError::AttestationStatement,
        ),
        ("packed", certified, WebauthnError::AttestationStatement),
        (
            "packed",
            b"\xa0".to_vec(),
            WebauthnError::AttestationStatement,
        ),
        (
            "none",
            with(b"\x26", &signature),
            WebauthnError::AttestationStatement,
        ),
        (
            "fido-u2f",
            b"\xa0".to_vec(),
            WebauthnError::AttestationFormat,
        ),
        ("tpm", b"\xa0".to_vec(), WebauthnError::AttestationFormat),
        ("None", b"\xa0".to_vec(), WebauthnError::AttestationFormat),
        (
            "none",
            b"\x80".to_vec(),
            WebauthnError::Cbor(CborError::Unexpected),
        ),
        (
            "none",
            b"\xb8\x00".to_vec(),
            WebauthnError::Cbor(CborError::NotCanonical),
        ),
    ] {
        assert_eq!(
            registered(&object(format, &statement)),
            Err(why),
            "{format}"
        );
    }
}

#[test]
fn an_attestation_object_has_one_form() {
    let good = passkey().create(CHALLENGE).attestation_object;
    assert!(registered(&good).is_ok());
    let with = |from: &[u8], to: &[u8]| {
        let at = good
            .windows(from.len())
            .position(|window| window == from)
            .unwrap();
        [&good[..at], to, &good[at + from.len()..]].concat()
    };
    let statement = WebauthnError::AttestationStatement;
    for (bytes, why) in [
        (with(b"\xa3\x63fmt", b"\xa2\x63fmt"), statement),
        (
            with(b"\xa3\x63fmt", b"\xb8\x03\x63fmt"),
            WebauthnError::Cbor(CborError::NotCanonical),
        ),
        (
            with(b"\xa3\x63fmt", b"\xbf\x63fmt"),
            WebauthnError::Cbor(CborError::NotCanonical),
        ),
        (with(b"\x63fmt", b"\x63FMT"), statement),
        (
            with(
                b"\x63fmt\x64none\x67attStmt\xa0",
                b"\x67attStmt\xa0\x63fmt\x64none",
            ),
            statement,
        ),
        (with(b"\x67attStmt\xa0", b"\x63fmt\x64none"), statement),
        (
            [&good[..], &[0]].concat(),
            WebauthnError::Cbor(CborError::Trailing),
        ),
        (
            good[..good.len() - 1].to_vec(),
            WebauthnError::Cbor(CborError::Truncated),
        ),
        (Vec::new(), WebauthnError::Cbor(CborError::Truncated)),
        (
            vec![0; 16 * 1024 + 1],
            WebauthnError::TooLong("the attestation object"),
        ),
    ] {
        assert_eq!(registered(&bytes), Err(why));
    }
}

#[test]
fn the_credential_in_a_registration_is_read_strictly() {
    let passkey = passkey();
    let object = |flags: u8, attested: &[u8]| {
        attestation_object(
            "none",
            b"\xa0",
            &passkey.authenticator_data(flags, attested),
        )
    };
    let with_id = |length: u16, id: &[u8]| {
        [&[0; 16][..], &length.to_be_bytes(), id, &passkey.cose_key()].concat()
    };
    let longest = registered(&object(BOUND | 0x40, &with_id(1023, &[1; 1023]))).unwrap();
    assert_eq!(longest.credential_id.len(), 1023);
    let mut off_curve = passkey.attested();
    *off_curve.last_mut().unwrap() ^= 1;
    let mut another_algorithm = passkey.attested();
    let alg = another_algorithm.len() - 73;
    assert_eq!(another_algorithm[alg], 0x26);
    another_algorithm[alg] = 0x28;
    for (bytes, why) in [
        (object(BOUND, &[]), WebauthnError::AttestedData),
        (object(BOUND, &passkey.attested()), WebauthnError::Trailing),
        (
            object(BOUND | 0x40, &with_id(0, &[])),
            WebauthnError::CredentialId,
        ),
        (
            object(BOUND | 0x40, &with_id(1024, &[1; 1024])),
            WebauthnError::CredentialId,
        ),
        (
            object(BOUND | 0x40, &with_id(900, &[1; 3])),
            WebauthnError::Truncated,
        ),
        (object(BOUND | 0x40, &off_curve), WebauthnError::Key),
        (
            object(BOUND | 0x40, &another_algorithm),
            WebauthnError::Algorithm,
        ),
        (
            object(BOUND | 0x40, &passkey.attested()[..17]),
            WebauthnError::Truncated,
        ),
    ] {
        assert_eq!(registered(&bytes), Err(why));
    }
}
