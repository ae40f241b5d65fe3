//! `vectors.json`: the test vectors of Web Authentication Level 3 §16 (each entry names its section; those whose
//! attestation is not accepted here give their assertion only), ceremonies written with python-fido2 2.2.1 and signed
//! by python-cryptography, and ceremonies of a real browser with its virtual authenticator.

use evidence::digest::from_hex;
use evidence::webauthn::{
    Algorithm, Asked, Assertion, Attestation, PublicKey, Registration, RelyingParty, WebauthnError,
};
use proptest::prelude::*;
use serde_json::Value;

struct Vector(Value);

impl Vector {
    fn all() -> Vec<Vector> {
        let Value::Array(all) = serde_json::from_str(include_str!("vectors.json")).unwrap() else {
            panic!("the vectors are a list");
        };
        all.into_iter().map(Vector).collect()
    }

    fn named(name: &str) -> Vector {
        let found = Vector::all()
            .into_iter()
            .find(|vector| vector.0["name"] == name);
        found.unwrap()
    }

    fn bytes(&self, path: &str) -> Vec<u8> {
        from_hex(self.0.pointer(path).unwrap().as_str().unwrap()).unwrap()
    }

    fn flag(&self, path: &str) -> bool {
        self.0.pointer(path).unwrap().as_bool().unwrap()
    }

    fn party(&self) -> RelyingParty {
        let text = |name: &str| self.0[name].as_str().unwrap();
        RelyingParty::new(text("relying_party"), &[text("origin")])
    }

    fn key(&self) -> PublicKey {
        PublicKey::from_cose(&self.bytes("/key")).unwrap()
    }
}

/// The three parts of an assertion, and what they answer.
struct Answer {
    party: RelyingParty,
    challenge: Vec<u8>,
    key: PublicKey,
    backup_eligible: bool,
    parts: [Vec<u8>; 3],
}

impl Answer {
    fn of(vector: &Vector) -> Answer {
        Answer {
            party: vector.party(),
            challenge: vector.bytes("/assertion/challenge"),
            key: vector.key(),
            backup_eligible: vector.flag("/backup_eligible"),
            parts: ["client_data_json", "authenticator_data", "signature"]
                .map(|part| vector.bytes(&format!("/assertion/{part}"))),
        }
    }

    fn verify(&self) -> Result<evidence::webauthn::Asserted, WebauthnError> {
        let asked = Asked {
            relying_party: &self.party,
            challenge: &self.challenge,
            user_verification: false,
        };
        let [client_data_json, authenticator_data, signature] = &self.parts;
        Assertion {
            client_data_json,
            authenticator_data,
            signature,
        }
        .verify(&asked, &self.key, self.backup_eligible)
    }
}

const CROSS_ORIGIN: &str = "none.ES256.crossOrigin";

#[test]
fn every_assertion_verifies_and_says_what_it_says() {
    let mut seen = Vec::new();
    for vector in Vector::all() {
        let name = vector.0["name"].as_str().unwrap();
        let answer = Answer::of(&vector);
        let outcome = answer.verify();
        if name == CROSS_ORIGIN {
            assert_eq!(outcome, Err(WebauthnError::CrossOrigin));
            continue;
        }
        let asserted = outcome.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(
            asserted.user_verified,
            vector.flag("/assertion/user_verified")
        );
        assert_eq!(asserted.backed_up, vector.flag("/assertion/backed_up"));
        assert_eq!(
            Some(u64::from(asserted.sign_count)),
            vector.0["assertion"]["sign_count"].as_u64()
        );
        assert_eq!(answer.key.algorithm().name(), vector.0["algorithm"]);
        seen.push(answer.key.algorithm());
    }
    for algorithm in Algorithm::ALL {
        let times = seen.iter().filter(|&&one| one == algorithm).count();
        assert!(times >= 2, "{algorithm:?} has {times} vectors");
    }
}

#[test]
fn every_registration_gives_its_key() {
    let mut verified = 0;
    for vector in Vector::all() {
        if vector.0.get("registration").is_none() {
            continue;
        }
        let (client_data_json, attestation_object, challenge) = (
            vector.bytes("/registration/client_data_json"),
            vector.bytes("/registration/attestation_object"),
            vector.bytes("/registration/challenge"),
        );
        let asked = Asked {
            relying_party: &vector.party(),
            challenge: &challenge,
            user_verification: false,
        };
        let registration = Registration {
            client_data_json: &client_data_json,
            attestation_object: &attestation_object,
        };
        if vector.0["name"] == CROSS_ORIGIN {
            assert_eq!(registration.verify(&asked), Err(WebauthnError::CrossOrigin));
            continue;
        }
        let registered = registration.verify(&asked).unwrap();
        assert_eq!(registered.public_key, vector.key());
        assert_eq!(
            registered.credential_id,
            vector.bytes("/registration/credential_id")
        );
        assert_eq!(
            registered.aaguid.to_vec(),
            vector.bytes("/registration/aaguid")
        );
        assert_eq!(registered.backup_eligible, vector.flag("/backup_eligible"));
        let attestation = match registered.attestation {
            Attestation::None => "none",
            Attestation::Itself => "self",
        };
        assert_eq!(vector.0["registration"]["attestation"], attestation);
        verified += 1;
    }
    assert_eq!(verified, 8);
}

#[test]
fn no_assertion_verifies_with_one_bit_flipped_anywhere() {
    for vector in Vector::all() {
        if vector.0["name"] == CROSS_ORIGIN {
            continue;
        }
        let mut answer = Answer::of(&vector);
        answer.verify().unwrap();
        for part in 0..3 {
            for bit in 0..answer.parts[part].len() * 8 {
                answer.parts[part][bit / 8] ^= 1 << (bit % 8);
                assert!(
                    answer.verify().is_err(),
                    "{} {part} {bit}",
                    vector.0["name"]
                );
                answer.parts[part][bit / 8] ^= 1 << (bit % 8);
            }
        }
    }
}

#[test]
fn no_assertion_verifies_with_one_bit_of_the_key_flipped() {
    for vector in Vector::all() {
        if vector.0["name"] == CROSS_ORIGIN {
            continue;
        }
        let mut answer = Answer::of(&vector);
        let mut cose = answer.key.as_cose().to_vec();
        for bit in 0..cose.len() * 8 {
            cose[bit / 8] ^= 1 << (bit % 8);
            if let Ok(key) = PublicKey::from_cose(&cose) {
                answer.key = key;
                assert!(answer.verify().is_err(), "{} {bit}", vector.0["name"]);
            }
            cose[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

#[test]
fn no_assertion_verifies_with_a_byte_more_or_less() {
    for vector in Vector::all() {
        if vector.0["name"] == CROSS_ORIGIN {
            continue;
        }
        for part in 0..3 {
            let mut answer = Answer::of(&vector);
            answer.parts[part].push(b' ');
            assert!(answer.verify().is_err());
            answer.parts[part].truncate(answer.parts[part].len() - 2);
            assert!(answer.verify().is_err());
        }
    }
}

proptest! {
    #[test]
    fn a_registration_of_any_bytes_is_refused_and_breaks_nothing(bytes in any::<Vec<u8>>()) {
        let vector = Vector::named("none.ES256");
        let (client_data_json, challenge) = (
            vector.bytes("/registration/client_data_json"),
            vector.bytes("/registration/challenge"),
        );
        let asked = Asked {
            relying_party: &vector.party(),
            challenge: &challenge,
            user_verification: false,
        };
        let registration = Registration { client_data_json: &client_data_json, attestation_object: &bytes };
        prop_assert!(registration.verify(&asked).is_err());
        let registration = Registration { client_data_json: &bytes, attestation_object: &bytes };
        prop_assert!(registration.verify(&asked).is_err());
    }

    #[test]
    fn a_damaged_registration_never_gives_the_credential_it_was(
        at in 0_usize..164, to in any::<u8>(),
    ) {
        let vector = Vector::named("none.ES256");
        let (client_data_json, mut object, challenge) = (
            vector.bytes("/registration/client_data_json"),
            vector.bytes("/registration/attestation_object"),
            vector.bytes("/registration/challenge"),
        );
        let original = object.clone();
        // The authenticator data begins after 30 bytes; the AAGUID in it (16 bytes) is nobody's to check.
        let at = 30 + at;
        object[at] = to;
        let asked = Asked {
            relying_party: &vector.party(),
            challenge: &challenge,
            user_verification: false,
        };
        let registration = Registration { client_data_json: &client_data_json, attestation_object: &object };
        if let Ok(registered) = registration.verify(&asked) {
            let unchanged = object == original;
            let same = registered.public_key == vector.key()
                && registered.credential_id == vector.bytes("/registration/credential_id");
            let aaguid_or_count_or_flags = (30 + 32..30 + 53).contains(&at);
            prop_assert!(unchanged || !same || aaguid_or_count_or_flags);
        }
    }
}
