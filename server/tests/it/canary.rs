//! Canaries: after the main flows, no secret that went through the program is
//! found in what it keeps, says or shows, however it may be written.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use domain::testing::PASSWORD;
use sandbox::Provider;

use crate::crash::{ask, calling, redeem};
use crate::house::{Answer, GOOGLE, SLACK, read};
use crate::process::Process;

/// Every way a secret is looked for in.
fn spellings(secret: &str) -> Vec<(&'static str, String)> {
    let bytes = secret.as_bytes();
    let hex = bytes
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    let mut all = vec![
        ("plain", secret.to_owned()),
        ("hex", hex.to_uppercase()),
        ("hex", hex),
    ];
    let form: String = url::form_urlencoded::byte_serialize(bytes).collect();
    all.push(("URL-encoded", form));
    // Wherever it begins in what was encoded: without the letters that its neighbours share.
    for shift in 0..3 {
        let mut shifted = vec![0; shift];
        shifted.extend_from_slice(bytes);
        let whole = shifted.len() / 3 * 3;
        for encoded in [
            STANDARD.encode(&shifted[..whole]),
            URL_SAFE_NO_PAD.encode(&shifted[..whole]),
        ] {
            let from = if shift == 0 { 0 } else { 4 };
            all.push(("base64", encoded[from..].to_owned()));
        }
    }
    all
}

/// All that is looked for is ASCII, so what is no text may be replaced.
fn holds(hay: &str, needle: &str) -> bool {
    !needle.is_empty() && hay.contains(needle)
}

#[test]
fn a_canary_is_found_however_it_is_written() {
    let secret = "xoxp-0123456789-canary/+=";
    let form: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    for text in [
        format!("a{secret}b"),
        format!("x={form}&y"),
        STANDARD.encode(secret),
        STANDARD.encode(format!("a{secret}")),
        STANDARD.encode(format!("ab{secret}cd")),
        URL_SAFE_NO_PAD.encode(format!("user:{secret}")),
    ] {
        let found = spellings(secret)
            .iter()
            .any(|(_, needle)| holds(&text, needle));
        assert!(found, "{text}");
    }
}

/// What somebody may look into, by name.
fn files(folder: &Path, into: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            into.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
}

async fn page(process: &Process, path: &str, seen: &mut Vec<(String, Vec<u8>)>) -> Answer {
    let answer = process.get(path).await;
    let mut text = format!("{:?}\n", answer.headers);
    text += &answer.body;
    seen.push((format!("the page {path}"), text.into_bytes()));
    answer
}

#[tokio::test]
async fn no_secret_is_found_in_files_logs_pages_or_the_audit_export() {
    let mut process = Process::open().await;
    let log = process.restart_logged("trace").await;
    let control = process.sandbox.control();
    let mut secrets: Vec<(String, String)> = vec![
        ("the person's password".to_owned(), PASSWORD.to_owned()),
        ("the client's secret".to_owned(), process.agent.1.clone()),
        ("Attorn's refresh token".to_owned(), process.refresh.clone()),
        (
            "the session".to_owned(),
            process.cookie.split_once('=').unwrap().1.to_owned(),
        ),
    ];
    // Linking, renewing, releasing, calling; approved, and refused.
    control.set_lifetime(Provider::Google, 10);
    process.link(GOOGLE, "release").await;
    process.link(SLACK, "release").await;
    control.set_lifetime(Provider::Google, 3600);
    let refreshed = process.exchange(GOOGLE).await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.body);
    assert_eq!(control.token_calls(Provider::Google, "refresh_token"), 1);
    let (id, decision) = ask(&process).await;
    process.post(&decision, &[("decision", "approve")]).await;
    let granted = redeem(&process, &id).await;
    let token = granted.text("access_token");
    assert!(!token.is_empty(), "{}", granted.body);
    let called = read(calling(&process, &token).send().await.unwrap()).await;
    assert_eq!(called.status, 200, "{}", called.body);
    secrets.push(("auth_req_id".to_owned(), id));
    secrets.push(("the approved token".to_owned(), token));

    // Errors that hold what was sent: each answer is looked into as well.
    let mut seen = Vec::new();
    let wrong = [
        ("grant_type", "refresh_token"),
        ("refresh_token", "att_rt_canary-that-is-no-token-0123456789"),
    ];
    let refused = process.post("/oauth/token", &wrong).await;
    seen.push(("an error".to_owned(), refused.body.into_bytes()));
    secrets.push(("a wrong token".to_owned(), wrong[1].1.to_owned()));
    let wrong = [
        ("email", "ada@example.com"),
        ("password", "wrong-canary-password"),
    ];
    let refused = process.post("/sign-in", &wrong).await;
    seen.push(("a refused sign-in".to_owned(), refused.body.into_bytes()));
    secrets.push(("a wrong password".to_owned(), wrong[1].1.to_owned()));
    let back = "/link/callback?state=att_ls_canary-state-0123456789&code=canary-code-0123456789";
    page(&process, back, &mut seen).await;
    secrets.push((
        "a wrong state".to_owned(),
        "att_ls_canary-state-0123456789".to_owned(),
    ));
    secrets.push((
        "a wrong code".to_owned(),
        "canary-code-0123456789".to_owned(),
    ));

    let accounts = page(&process, "/accounts", &mut seen).await.body;
    for path in ["/", "/activity", "/approvals", "/clients", "/no-such-page"] {
        page(&process, path, &mut seen).await;
    }
    let (_, account) = accounts.split_once("href=\"/accounts/acc").unwrap();
    let account = format!("/accounts/acc{}", account.split('"').next().unwrap());
    page(&process, &account, &mut seen).await;
    process.post(&format!("{account}/unlink"), &[]).await;

    for issued in control
        .issued_tokens()
        .into_iter()
        .chain(control.issued_codes())
    {
        secrets.push((format!("{}'s token or code", issued.provider), issued.token));
    }
    assert!(secrets.len() > 15, "too few canaries: {}", secrets.len());

    // While it serves, so that the write-ahead log is there.
    files(process.database().parent().unwrap(), &mut seen);
    assert!(
        seen.iter()
            .any(|(name, bytes)| name.ends_with("-wal") && !bytes.is_empty())
    );
    let log = std::fs::read(&log).unwrap();
    assert!(
        holds(&String::from_utf8_lossy(&log), "TRACE"),
        "the log says too little"
    );
    seen.push(("the log".to_owned(), log));
    process.kill().await;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    process
        .command(&["audit", "export", &at("entries"), &at("checkpoints")])
        .await;
    files(folder.path(), &mut seen);
    files(process.database().parent().unwrap(), &mut seen);

    let seen: Vec<(String, String)> = seen
        .into_iter()
        .map(|(place, bytes)| (place, String::from_utf8_lossy(&bytes).into_owned()))
        .collect();
    let mut found = Vec::new();
    for (what, secret) in &secrets {
        assert!(secret.len() >= 16, "{what} is too short to look for");
        for (spelling, needle) in spellings(secret) {
            for (place, text) in &seen {
                if holds(text, &needle) {
                    found.push(format!("{what}, {spelling}, in {place}"));
                }
            }
        }
    }
    found.sort();
    found.dedup();
    assert!(found.is_empty(), "{found:#?}");
}
