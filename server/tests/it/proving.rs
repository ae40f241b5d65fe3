//! `attorn approval verify`, as a program beside the data folder.

use std::time::Duration;

use domain::audit::sequencer;
use domain::clock::ManualClock;
use evidence::digest::{base64url, from_base64url};
use evidence::webauthn::RelyingParty;
use evidence::webauthn::virtual_authenticator::VirtualAuthenticator;
use sandbox::Provider;
use serde_json::{Value, json};

use crate::crash::{ask, open};
use crate::house::SLACK;
use crate::process::{Process, attorn};

/// Ada's device, set up as the script of the page does.
async fn set_up(process: &Process) -> VirtualAuthenticator {
    let party = RelyingParty::of_issuer(&process.issuer).unwrap();
    let phone = VirtualAuthenticator::new(&party);
    let options = process.post("/devices/options", &[]).await;
    let challenge = from_base64url(&options.text("challenge")).unwrap();
    let created = phone.create(&challenge);
    let made = json!({
        "clientDataJSON": base64url(&created.client_data_json),
        "attestationObject": base64url(&created.attestation_object),
        "transports": ["internal"],
    });
    let fields = [("name", "My phone"), ("passkey", &made.to_string())];
    let added = process.post("/devices", &fields).await;
    assert_eq!(added.status, 200, "{}", added.body);
    phone
}

/// Approves as the script of the page does: over the challenge that stands in it.
async fn approve(process: &Process, page: &str, phone: &mut VirtualAuthenticator) {
    let shown = process.get(page).await.body;
    let (_, options) = shown.split_once("data-options=\"").unwrap();
    let (options, _) = options.split_once('"').unwrap();
    let options: Value = serde_json::from_str(&options.replace("&quot;", "\"")).unwrap();
    let challenge = from_base64url(options["challenge"].as_str().unwrap()).unwrap();
    let signed = phone.get(&challenge);
    let answer = json!({
        "id": base64url(&phone.credential_id),
        "clientDataJSON": base64url(&signed.client_data_json),
        "authenticatorData": base64url(&signed.authenticator_data),
        "signature": base64url(&signed.signature),
    });
    let fields = [("decision", "approve"), ("passkey", &answer.to_string())];
    let decided = process.post(page, &fields).await;
    assert_eq!(decided.status, 303, "{}", decided.body);
}

#[tokio::test]
async fn the_program_proves_which_passkey_approved_what_and_claims_nothing_of_what_none_signed() {
    let mut process = Process::open().await;
    process.link(SLACK, "call").await;
    let (_, unsigned) = ask(&process).await;
    process.post(&unsigned, &[("decision", "approve")]).await;
    let mut phone = set_up(&process).await;
    let (_, page) = ask(&process).await;
    approve(&process, &page, &mut phone).await;
    process.kill().await;
    // What the killed program had not numbered yet.
    let asked = process.sandbox.control().requests(Provider::Slack);
    let clock = ManualClock::at(asked.last().unwrap().at);
    clock.advance(Duration::from_secs(60));
    let engine = open(&process, &process.database(), clock).await;
    while sequencer::run_once(&engine).await.unwrap() > 0 {}
    engine.store.close().await;
    drop(engine);

    let id = page.strip_prefix("/approve/").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("evidence.json");
    let path = file.to_str().unwrap();
    let said = process
        .command(&["approval", "verify", id, "--evidence", path])
        .await;
    for words in [
        "approved",
        id,
        "with passkey",
        "release 2.1 is out",
        process.issuer.as_str(),
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let kept = std::fs::read(&file).unwrap();
    assert!(kept.starts_with(b"{"));

    let other = unsigned.strip_prefix("/approve/").unwrap();
    for nothing in [other, "apr_unheard_of"] {
        let mut command = attorn(&["approval", "verify", nothing, "--config"]);
        let output = command.arg(process.config()).output().await.unwrap();
        assert!(!output.status.success());
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains("no decision on it was signed"), "{said}");
    }
}
