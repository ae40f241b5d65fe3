//! The vault's key in a key provider: a lookalike of Vault's Transit engine,
//! over real HTTP, with the real program. AWS KMS is in `end2end/clients`.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::house::GOOGLE;
use crate::process::Process;

const TOKEN: &str = "hvs.token-of-attorn";

/// Vault's Transit engine, as far as it is used: its documented requests,
/// answers and refusals, with a key that never leaves it.
#[derive(Clone)]
struct Transit(Arc<Engine>);

struct Engine {
    address: String,
    key: LessSafeKey,
    is_away: AtomicBool,
    calls: Mutex<Vec<String>>,
    nonces: AtomicUsize,
}

type Answer = (StatusCode, Json<Value>);

fn errors(status: StatusCode, words: &str) -> Answer {
    (status, Json(json!({"errors": [words]})))
}

impl Transit {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let key = UnboundKey::new(&AES_256_GCM, &[5; 32]).unwrap();
        let transit = Self(Arc::new(Engine {
            address: format!("http://{}", listener.local_addr().unwrap()),
            key: LessSafeKey::new(key),
            is_away: AtomicBool::new(false),
            calls: Mutex::default(),
            nonces: AtomicUsize::new(0),
        }));
        let app = Router::new()
            .route("/v1/transit/{what}/{key}", post(Self::answer))
            .with_state(transit.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        transit
    }

    async fn answer(
        State(this): State<Self>,
        Path((what, key)): Path<(String, String)>,
        headers: HeaderMap,
        Json(body): Json<Value>,
    ) -> Answer {
        this.0.calls.lock().unwrap().push(what.clone());
        if this.0.is_away.load(Ordering::Relaxed) {
            return errors(StatusCode::SERVICE_UNAVAILABLE, "Vault is sealed");
        }
        if headers.get("x-vault-token").map(|token| token.as_bytes()) != Some(TOKEN.as_bytes()) {
            return errors(StatusCode::FORBIDDEN, "permission denied");
        }
        if key != "attorn" {
            return errors(StatusCode::BAD_REQUEST, "encryption key not found");
        }
        let member = |name: &str| STANDARD.decode(body[name].as_str().unwrap()).unwrap();
        let aad = member("associated_data");
        match what.as_str() {
            "encrypt" => {
                let number = this.0.nonces.fetch_add(1, Ordering::Relaxed) as u64;
                let mut nonce = [0; NONCE_LEN];
                nonce[..8].copy_from_slice(&number.to_be_bytes());
                let mut text = member("plaintext");
                let with = Nonce::assume_unique_for_key(nonce);
                this.0
                    .key
                    .seal_in_place_append_tag(with, Aad::from(aad), &mut text)
                    .unwrap();
                let sealed = STANDARD.encode([&nonce, &text[..]].concat());
                (
                    StatusCode::OK,
                    Json(json!({"data": {"ciphertext": format!("vault:v1:{sealed}")}})),
                )
            }
            "decrypt" => {
                let sealed = body["ciphertext"]
                    .as_str()
                    .unwrap()
                    .strip_prefix("vault:v1:");
                let Some(Ok(sealed)) = sealed.map(|text| STANDARD.decode(text)) else {
                    return errors(
                        StatusCode::BAD_REQUEST,
                        "invalid ciphertext: could not decode",
                    );
                };
                let (nonce, text) = sealed.split_at(NONCE_LEN);
                let nonce = Nonce::try_assume_unique_for_key(nonce).unwrap();
                let mut text = text.to_vec();
                match this.0.key.open_in_place(nonce, Aad::from(aad), &mut text) {
                    Ok(plain) => (
                        StatusCode::OK,
                        Json(json!({"data": {"plaintext": STANDARD.encode(plain)}})),
                    ),
                    Err(_) => errors(
                        StatusCode::BAD_REQUEST,
                        "cipher: message authentication failed",
                    ),
                }
            }
            _ => errors(StatusCode::NOT_FOUND, "unsupported path"),
        }
    }

    fn decrypted(&self) -> usize {
        let calls = self.0.calls.lock().unwrap();
        calls.iter().filter(|call| *call == "decrypt").count()
    }

    fn be_away(&self, away: bool) {
        self.0.is_away.store(away, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn the_vaults_key_moves_to_transit_which_is_not_asked_for_every_token() {
    let transit = Transit::start().await;
    let mut process = Process::open().await;
    process.link(GOOGLE, "release").await;
    let token = process.key().with_file_name("vault-token");
    std::fs::write(&token, format!("{TOKEN}\n")).unwrap();
    let old = process.key().display().to_string();
    let section = format!(
        "provider = \"transit\"\nold_key_files = [\"{old}\"]\n\
         [vault.transit]\naddress = \"{}\"\nkey = \"attorn\"\ntoken_file = \"{}\"\n",
        transit.0.address,
        token.display(),
    );
    process.configure(&format!("key_file = \"{old}\"\n"), &section);
    let said = process.command(&["keys", "rotate", "--vault-key"]).await;
    assert!(said.contains("transit:transit/attorn"), "{said}");

    // Nothing but Vault has the key now.
    process.kill().await;
    process.configure(&format!("old_key_files = [\"{old}\"]\n"), "");
    process.restart().await;
    assert_eq!(process.exchange(GOOGLE).await.status, 200);
    let asked = transit.decrypted();
    for _ in 0..20 {
        assert_eq!(process.exchange(GOOGLE).await.status, 200);
    }
    assert_eq!(transit.decrypted(), asked, "hits do not ask for the key");

    // An outage is felt only where a key is needed that nobody used of late.
    transit.be_away(true);
    assert_eq!(process.exchange(GOOGLE).await.status, 200);
    assert_eq!(process.get("/readyz").await.body, "ready\n");
    let link = process.post("/accounts/link/google-oauth2", &[]).await;
    assert_ne!(link.status, 303, "a link attempt is wrapped by Vault");
    let ready = process.get("/readyz").await;
    assert_eq!(ready.status, 200);
    assert!(ready.body.contains("key provider"), "{}", ready.body);
    transit.be_away(false);
    process.link(GOOGLE, "release").await;
    assert_eq!(process.get("/readyz").await.body, "ready\n");
}

#[tokio::test]
async fn a_token_that_vault_refuses_starts_nothing_and_says_why() {
    let transit = Transit::start().await;
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().display();
    let token = folder.path().join("token");
    std::fs::write(&token, "hvs.of-somebody-else").unwrap();
    let text = format!(
        "[database]\nurl = \"sqlite:{place}/attorn.db\"\n[vault]\nprovider = \"transit\"\n\
         [vault.transit]\naddress = \"{}\"\nkey = \"attorn\"\ntoken_file = \"{place}/token\"\n",
        transit.0.address,
    );
    let config = folder.path().join("attorn.toml");
    std::fs::write(&config, text).unwrap();
    let config = config.to_str().unwrap();
    let refused = crate::process::attorn(&["migrate", "--config", config]);
    let output = { refused }.output().await.unwrap();
    assert!(!output.status.success());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("Vault refuses the token"), "{error}");
    assert!(!error.contains("of-somebody-else"), "{error}");
    std::fs::write(&token, TOKEN).unwrap();
    let output = crate::process::attorn(&["keys", "list", "--config", config])
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        said.contains("transit:transit/attorn\twraps the vault"),
        "{said}"
    );
}
