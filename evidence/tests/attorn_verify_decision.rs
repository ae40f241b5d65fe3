//! The stand-alone verifier, asked about one decision.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use evidence::challenge::{Decision, DecisionChallenge};
use evidence::checkpoint::{self, Checkpoint};
use evidence::decision::{DecisionEvidence, FORMAT};
use evidence::digest::{base64url, sha256};
use evidence::json::canonical;
use evidence::leaf::Leaf;
use evidence::merkle::{leaf_hash, root};
use evidence::note::VerifierKey;
use evidence::verify::export_line;
use evidence::webauthn::RelyingParty;
use evidence::webauthn::virtual_authenticator::VirtualAuthenticator;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const NAME: &str = "attorn.example/audit/dep_1";
const ISSUER: &str = "https://attorn.example/";

/// The evidence of one approval, made by this authenticator.
fn decided(authenticator: &mut VirtualAuthenticator) -> String {
    let shown = canonical(&json!({
        "title": "Deploy a service", "fields": [{"label": "Service", "value": "billing"}],
        "template": "deployment/1", "locale": "en",
    }));
    let challenge = DecisionChallenge {
        issuer: ISSUER.into(),
        approval: "apr_1".into(),
        person: "per_1".into(),
        client: "cli_1".into(),
        account: None,
        call_digest: None,
        text_digest: sha256(&shown),
        template: "deployment/1".into(),
        locale: "en".into(),
        binding_message: None,
        decision: Decision::Approve,
        standing_terms: None,
        expires_at: 1_790_000_000_000,
        nonce: [3; 16],
    };
    let signed = authenticator.get(&challenge.hash());
    let evidence = DecisionEvidence {
        format: FORMAT.into(),
        challenge,
        shown: String::from_utf8(shown).unwrap(),
        call: None,
        credential_id: authenticator.credential_id.clone(),
        public_key: authenticator.cose_key(),
        backup_eligible: false,
        client_data_json: signed.client_data_json,
        authenticator_data: signed.authenticator_data,
        signature: signed.signature,
    };
    serde_json::to_string(&evidence).unwrap()
}

/// An export of these leaves, signed, in a folder; and the log's key.
fn export(name: &str, leaves: &[Leaf]) -> (PathBuf, String) {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).unwrap();
    let pair = Ed25519KeyPair::from_seed_unchecked(&[1; 32]).unwrap();
    let public = pair.public_key().as_ref().try_into().unwrap();
    let leaves: Vec<_> = leaves.iter().map(Leaf::bytes).collect();
    let hashes: Vec<_> = leaves.iter().map(|leaf| leaf_hash(leaf)).collect();
    let checkpoint = Checkpoint {
        origin: NAME.into(),
        size: leaves.len() as u64,
        root: root(&hashes),
    };
    let note = checkpoint::sign(&checkpoint, NAME, &pair).unwrap();
    let lines = (0..)
        .zip(&leaves)
        .map(|(index, leaf)| export_line(index, leaf) + "\n");
    fs::write(folder.join("entries"), lines.collect::<String>()).unwrap();
    fs::write(folder.join("checkpoints"), note).unwrap();
    (folder, VerifierKey::new(NAME, public).unwrap().to_string())
}

fn verify(folder: &Path, key: &str) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_attorn-verify"))
        .current_dir(folder)
        .args([
            "--key",
            key,
            "--decision",
            "evidence",
            "entries",
            "checkpoints",
        ])
        .output()
        .unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stdout).unwrap(),
    )
}

#[test]
fn a_decision_is_proved_by_the_log_and_its_evidence_or_not_at_all() {
    let mut authenticator = VirtualAuthenticator::new(&RelyingParty::of_issuer(ISSUER).unwrap());
    let evidence = decided(&mut authenticator);
    let key = base64url(&sha256(&authenticator.cose_key()));
    let added = Leaf::new("evt_1", 1000, "passkey.added", "dep_1")
        .person("per_1")
        .data("passkey", "pky_1")
        .data("key", key.as_str());
    let made = Leaf::new("evt_2", 2000, "approval.approved", "dep_1")
        .person("per_1")
        .client("cli_1")
        .approval("apr_1")
        .data("key", key.as_str())
        .data("evidence", base64url(&sha256(evidence.as_bytes())));

    let (folder, log_key) = export("decision", &[added.clone(), made.clone()]);
    fs::write(folder.join("evidence"), &evidence).unwrap();
    let (code, said) = verify(&folder, &log_key);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("per_1 approved apr_1 with passkey pky_1"),
        "{said}"
    );
    assert!(said.contains("Service: \"billing\""), "{said}");

    // Another assertion of the same passkey is not the one that the log has.
    fs::write(folder.join("evidence"), decided(&mut authenticator)).unwrap();
    let (code, said) = verify(&folder, &log_key);
    assert_eq!(code, Some(1));
    assert!(said.contains("The log has no decision on apr_1"), "{said}");

    // A passkey that the log gives to nobody.
    let (folder, log_key) = export("decision-nobody", &[made]);
    fs::write(folder.join("evidence"), &evidence).unwrap();
    let (code, said) = verify(&folder, &log_key);
    assert_eq!(code, Some(1));
    assert!(
        said.contains("not say that the passkey was one of per_1"),
        "{said}"
    );
}
