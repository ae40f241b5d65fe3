//! A decision is proved from its evidence alone, or not at all.

use evidence::challenge::{Decision, DecisionChallenge};
use evidence::decision::in_log::{InLog, NotAttested};
use evidence::decision::{DecisionError, DecisionEvidence, FORMAT};
use evidence::digest::{base64url, sha256};
use evidence::json::canonical;
use evidence::leaf::Leaf;
use evidence::webauthn::virtual_authenticator::{SYNCED, VirtualAuthenticator};
use evidence::webauthn::{RelyingParty, WebauthnError};
use serde_json::{Value, json};

const ISSUER: &str = "https://attorn.example/";

fn text(value: &Value) -> String {
    String::from_utf8(canonical(value)).unwrap()
}

/// A passkey of a person, and what they decided with it.
struct Decided {
    authenticator: VirtualAuthenticator,
    evidence: DecisionEvidence,
}

fn decided() -> Decided {
    let shown = text(&json!({
        "title": "Post a message to Slack", "fields": [{"label": "Message", "value": "Hallo ✓"}],
        "template": "slack_message/1", "locale": "en",
    }));
    let call = text(&json!({"tag": "attorn-exact-call-v1", "method": "POST", "body": "e30"}));
    let challenge = DecisionChallenge {
        issuer: ISSUER.into(),
        approval: "apr_1".into(),
        person: "per_1".into(),
        client: "cli_1".into(),
        account: Some("acc_1".into()),
        call_digest: Some(sha256(call.as_bytes())),
        text_digest: sha256(shown.as_bytes()),
        template: "slack_message/1".into(),
        locale: "en".into(),
        binding_message: Some("AB-12".into()),
        decision: Decision::Approve,
        standing_terms: None,
        expires_at: 1_790_000_000_000,
        nonce: [3; 16],
    };
    let mut authenticator = VirtualAuthenticator::new(&RelyingParty::of_issuer(ISSUER).unwrap());
    let signed = authenticator.get(&challenge.hash());
    Decided {
        evidence: DecisionEvidence {
            format: FORMAT.into(),
            challenge,
            shown,
            call: Some(call),
            credential_id: authenticator.credential_id.clone(),
            public_key: authenticator.cose_key(),
            backup_eligible: false,
            client_data_json: signed.client_data_json,
            authenticator_data: signed.authenticator_data,
            signature: signed.signature,
        },
        authenticator,
    }
}

impl Decided {
    /// Signs again, as the evidence now stands.
    fn signed_again(mut self) -> DecisionEvidence {
        let signed = self.authenticator.get(&self.evidence.challenge.hash());
        self.evidence.client_data_json = signed.client_data_json;
        self.evidence.authenticator_data = signed.authenticator_data;
        self.evidence.signature = signed.signature;
        self.evidence
    }
}

#[test]
fn evidence_proves_which_passkey_approved_which_bytes_and_text() {
    let Decided { evidence, .. } = decided();
    let exported = serde_json::to_vec(&evidence).unwrap();
    let read = DecisionEvidence::parse(&exported).unwrap();
    assert_eq!(read, evidence);
    let proved = read.prove().unwrap();
    assert_eq!(proved.decision, Decision::Approve);
    assert_eq!((&*proved.issuer, &*proved.approval), (ISSUER, "apr_1"));
    assert_eq!((&*proved.person, &*proved.client), ("per_1", "cli_1"));
    assert_eq!(proved.key_digest, sha256(&evidence.public_key));
    assert_eq!(proved.call_digest, evidence.challenge.call_digest);
    assert_eq!(proved.text_digest, evidence.challenge.text_digest);
    assert!(proved.device_bound);
}

#[test]
fn whatever_is_changed_afterwards_proves_nothing() {
    let signature = DecisionError::Passkey(WebauthnError::Signature);
    let challenge = DecisionError::Passkey(WebauthnError::Challenge);
    type Change = fn(&mut DecisionEvidence);
    let changes: [(Change, DecisionError); 20] = [
        (|e| e.challenge.decision = Decision::Deny, challenge),
        (|e| e.challenge.approval.push('x'), challenge),
        (|e| e.challenge.person.push('x'), challenge),
        (|e| e.challenge.client.push('x'), challenge),
        (|e| e.challenge.account = None, challenge),
        (|e| e.challenge.binding_message = None, challenge),
        (|e| e.challenge.expires_at += 1, challenge),
        (|e| e.challenge.nonce[0] ^= 1, challenge),
        (|e| e.challenge.standing_terms = Some(json!({})), challenge),
        (
            |e| e.challenge.issuer = "https://b.example/".into(),
            challenge,
        ),
        (
            |e| e.challenge.issuer = "https://attorn.example".into(),
            DecisionError::Issuer,
        ),
        (
            |e| e.shown = e.shown.replace("Hallo", "hallo"),
            DecisionError::Text,
        ),
        (
            |e| e.call = e.call.as_ref().map(|call| call.replace("e30", "e31")),
            DecisionError::Call,
        ),
        (|e| e.call = None, DecisionError::Call),
        (|e| e.public_key = decided().evidence.public_key, signature),
        (|e| e.signature = decided().evidence.signature, signature),
        (|e| e.authenticator_data[36] ^= 1, signature),
        (|e| e.client_data_json.push(b' '), signature),
        (
            |e| e.backup_eligible = true,
            DecisionError::Passkey(WebauthnError::BackupEligibility),
        ),
        (|e| e.format.push('1'), DecisionError::Format),
    ];
    let good = decided().evidence;
    good.prove().unwrap();
    for (position, (change, why)) in changes.into_iter().enumerate() {
        let mut evidence = good.clone();
        change(&mut evidence);
        assert_eq!(evidence.prove(), Err(why), "change {position}");
    }
}

#[test]
fn text_that_two_could_read_differently_is_refused_even_if_it_was_signed() {
    let mut decided = decided();
    decided.evidence.shown.push(' ');
    decided.evidence.challenge.text_digest = sha256(decided.evidence.shown.as_bytes());
    assert_eq!(decided.signed_again().prove(), Err(DecisionError::Text));
}

#[test]
fn text_of_another_template_or_language_is_refused_even_if_it_was_signed() {
    let changes: [fn(&mut DecisionEvidence); 2] = [
        |e| e.challenge.template = "payment/1".into(),
        |e| e.challenge.locale = "de".into(),
    ];
    for change in changes {
        let mut decided = decided();
        change(&mut decided.evidence);
        assert_eq!(decided.signed_again().prove(), Err(DecisionError::Template));
    }
}

#[test]
fn a_decision_without_a_call_needs_a_challenge_without_one() {
    let mut decided = decided();
    decided.evidence.challenge.call_digest = None;
    let with_call = decided.signed_again();
    assert_eq!(with_call.prove(), Err(DecisionError::Call));
    let without = DecisionEvidence {
        call: None,
        ..with_call
    };
    assert_eq!(without.prove().unwrap().call_digest, None);
}

#[test]
fn a_touch_without_verification_does_not_decide() {
    let mut decided = decided();
    decided.authenticator.flags = 0x01;
    assert_eq!(
        decided.signed_again().prove(),
        Err(DecisionError::Passkey(WebauthnError::NotVerified))
    );
}

#[test]
fn a_page_of_another_origin_does_not_decide() {
    let mut decided = decided();
    decided.authenticator.origin = "https://attorn.example.evil".into();
    assert_eq!(
        decided.signed_again().prove(),
        Err(DecisionError::Passkey(WebauthnError::Origin))
    );
}

#[test]
fn a_synced_passkey_is_told_apart_from_a_bound_one() {
    let mut decided = decided();
    decided.authenticator.flags = SYNCED;
    decided.evidence.backup_eligible = true;
    assert!(!decided.signed_again().prove().unwrap().device_bound);
}

#[test]
fn evidence_is_read_strictly() {
    let good = serde_json::to_string(&decided().evidence).unwrap();
    assert!(DecisionEvidence::parse(good.as_bytes()).is_ok());
    for (from, to) in [
        ("{\"format\"", "{\"more\":1,\"format\""),
        ("\"format\":", "\"form\":"),
        ("\"call\":", "\"Call\":"),
        ("\"decision\":\"approve\"", "\"decision\":\"maybe\""),
        ("\"signature\":\"", "\"signature\":\"="),
    ] {
        let changed = good.replacen(from, to, 1);
        assert_ne!(changed, good);
        let refused = DecisionEvidence::parse(changed.as_bytes());
        assert_eq!(refused, Err(DecisionError::Members), "{to}");
    }
    let twice = good.replacen('{', "{\"format\":\"x\",", 1);
    assert!(matches!(
        DecisionEvidence::parse(twice.as_bytes()),
        Err(DecisionError::Json(_))
    ));
}

/// The log of a decision: the passkey is added, the decision is made.
fn log_of(text: &str, evidence: &DecisionEvidence) -> [Leaf; 2] {
    let key = base64url(&sha256(&evidence.public_key));
    let added = Leaf::new("evt_1", 1000, "passkey.added", "dep_1")
        .person("per_1")
        .data("passkey", "pky_1")
        .data("key", key.as_str());
    let decided = Leaf::new("evt_2", 2000, "approval.approved", "dep_1")
        .person("per_1")
        .client("cli_1")
        .approval("apr_1")
        .data("key", key.as_str())
        .data("evidence", base64url(&sha256(text.as_bytes())));
    [added, decided]
}

fn judged<'a>(
    text: &str,
    leaves: impl IntoIterator<Item = &'a Leaf>,
) -> Result<String, NotAttested> {
    let mut log = InLog::new(text)?;
    for leaf in leaves {
        log.read(leaf);
    }
    log.end().map(|attested| attested.to_string())
}

#[test]
fn the_log_says_whose_passkey_it_was_and_that_this_is_the_evidence() {
    let Decided { evidence, .. } = decided();
    let exported = serde_json::to_string(&evidence).unwrap();
    let [added, made] = log_of(&exported, &evidence);
    let said = judged(&exported, [&added, &made]).unwrap();
    for part in [
        "per_1 approved apr_1 with passkey pky_1",
        "asked by cli_1 at https://attorn.example/",
        "Message: \"Hallo ✓\"",
        "cannot leave its device",
    ] {
        assert!(said.contains(part), "{said}");
    }
    let nobodys = Err(NotAttested::Passkey {
        person: "per_1".to_owned(),
    });
    assert_eq!(judged(&exported, [&made]), nobodys);
    // Added too late, or taken away before.
    assert_eq!(judged(&exported, [&made, &added]), nobodys);
    let mut revoked = added.clone();
    revoked.kind = "passkey.revoked".to_owned();
    assert_eq!(judged(&exported, [&added, &revoked, &made]), nobodys);
    let nothing = Err(NotAttested::NoDecision {
        approval: "apr_1".to_owned(),
    });
    assert_eq!(judged(&exported, [&added]), nothing);
    // The same decision with other evidence, of another person, client or approval.
    type Change = fn(&mut Leaf);
    let changes: [Change; 4] = [
        |leaf| {
            leaf.data.insert("evidence".to_owned(), "x".into());
        },
        |leaf| leaf.person = Some("per_2".to_owned()),
        |leaf| leaf.client = Some("cli_2".to_owned()),
        |leaf| leaf.approval = Some("apr_2".to_owned()),
    ];
    for change in changes {
        let mut other = made.clone();
        change(&mut other);
        assert_eq!(judged(&exported, [&added, &other]), nothing);
    }
    let mut forged = evidence;
    forged.signature[9] ^= 1;
    let forged = serde_json::to_string(&forged).unwrap();
    assert!(matches!(
        judged(&forged, [&added, &made]),
        Err(NotAttested::Evidence(_))
    ));
}
