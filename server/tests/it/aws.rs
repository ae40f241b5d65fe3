//! Temporary credentials for AWS KMS, from everybody who hands them out: the
//! instance's metadata service, a container's agent, STS. All of them here, and
//! KMS, over real HTTP.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get, post, put};
use axum::{Form, Json, Router};
use domain::clock::{Clock as _, ManualClock};
use domain::keyring::KeyEncryption as _;
use domain::keyring::kms::{AwsIdentity, AwsKms};
use domain::outbound::HttpOutbound;
use domain::testing::START;
use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::net::TcpListener;
use url::Url;

/// How long credentials are good, in milliseconds.
const HOUR: i64 = 3_600_000;

struct Aws {
    address: String,
    clock: ManualClock,
    /// How many credentials were handed out; each has another name.
    handed_out: AtomicUsize,
    /// Nobody hands out any.
    is_away: AtomicBool,
    /// Those before this number are refused by KMS.
    good_from: AtomicUsize,
    /// Who signed calls to KMS.
    seen: Mutex<Vec<String>>,
}

type Shared = State<Arc<Aws>>;

impl Aws {
    async fn start() -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let aws = Arc::new(Self {
            address: format!("http://{}/", listener.local_addr().unwrap()),
            clock: ManualClock::at(START),
            handed_out: AtomicUsize::new(0),
            is_away: AtomicBool::new(false),
            good_from: AtomicUsize::new(0),
            seen: Mutex::default(),
        });
        let app = Router::new()
            .route("/latest/api/token", put(metadata_token))
            .route("/latest/meta-data/iam/security-credentials/", get(roles))
            .route(
                "/latest/meta-data/iam/security-credentials/{role}",
                get(of_role),
            )
            .route("/v2/credentials/{id}", get(of_container))
            .route("/sts", post(assume))
            .route("/kms", any(kms))
            .with_state(aws.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        aws
    }

    /// New credentials, as JSON; their end is an hour away.
    fn credentials(&self) -> Result<Value, StatusCode> {
        if self.is_away.load(Ordering::Relaxed) {
            return Err(StatusCode::SERVICE_UNAVAILABLE);
        }
        let number = self.handed_out.fetch_add(1, Ordering::Relaxed);
        let end = i128::from(self.clock.now() + HOUR) * 1_000_000;
        let end = OffsetDateTime::from_unix_timestamp_nanos(end).unwrap();
        Ok(json!({
            "Code": "Success", "Type": "AWS-HMAC",
            "AccessKeyId": format!("ASIA{number}"),
            "SecretAccessKey": "secret/+=",
            "Token": format!("session-{number}"),
            "Expiration": end.format(&Rfc3339).unwrap(),
        }))
    }

    /// KMS's key, asked by whom this environment says.
    fn key(&self, environment: &[(&str, String)]) -> AwsKms {
        let lookup = |name: &str| {
            let found = environment.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.clone())
        };
        let identity = AwsIdentity::of_environment("eu-central-1", lookup).unwrap();
        let endpoint = Url::parse(&format!("{}kms", self.address)).unwrap();
        AwsKms::new(
            "eu-central-1",
            "the-key",
            Some(&endpoint),
            identity,
            Arc::new(self.clock.clone()),
            Arc::new(HttpOutbound::new().unwrap()),
        )
        .unwrap()
    }

    fn signed_by(&self) -> Vec<String> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }

    fn handed_out(&self) -> usize {
        self.handed_out.load(Ordering::Relaxed)
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers
        .get(name)
        .map_or("", |value| value.to_str().unwrap())
}

async fn metadata_token(headers: HeaderMap) -> Response {
    let lifetime = header(&headers, "x-aws-ec2-metadata-token-ttl-seconds");
    if lifetime.parse::<u32>().is_err() {
        return StatusCode::BAD_REQUEST.into_response();
    }
    "metadata-token".into_response()
}

/// Version 1 is off: without the token nothing is said.
fn knows_the_token(headers: &HeaderMap) -> bool {
    header(headers, "x-aws-ec2-metadata-token") == "metadata-token"
}

async fn roles(headers: HeaderMap) -> Response {
    if !knows_the_token(&headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    "attorn-role".into_response()
}

async fn of_role(State(aws): Shared, Path(role): Path<String>, headers: HeaderMap) -> Response {
    if !knows_the_token(&headers) || role != "attorn-role" {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    aws.credentials().map(Json).into_response()
}

async fn of_container(State(aws): Shared, headers: HeaderMap) -> Response {
    if header(&headers, "authorization") != "container-token" {
        return StatusCode::FORBIDDEN.into_response();
    }
    aws.credentials().map(Json).into_response()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Assume {
    action: String,
    version: String,
    role_arn: String,
    role_session_name: String,
    web_identity_token: String,
}

async fn assume(State(aws): Shared, Form(asked): Form<Assume>) -> Response {
    assert_eq!(asked.action, "AssumeRoleWithWebIdentity");
    assert_eq!(asked.version, "2011-06-15");
    assert_eq!(asked.role_session_name, "attorn");
    if asked.role_arn != "arn:aws:iam::1:role/attorn" || asked.web_identity_token != "jwt" {
        return (StatusCode::BAD_REQUEST, "<ErrorResponse/>").into_response();
    }
    let Ok(new) = aws.credentials() else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let text = |name: &str| new[name].as_str().unwrap().to_owned();
    format!(
        "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
         <AssumeRoleWithWebIdentityResult><Credentials>\
         <SessionToken>{}</SessionToken><SecretAccessKey>{}</SecretAccessKey>\
         <Expiration>{}</Expiration><AccessKeyId>{}</AccessKeyId>\
         </Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>",
        text("Token"),
        text("SecretAccessKey"),
        text("Expiration"),
        text("AccessKeyId"),
    )
    .into_response()
}

async fn kms(State(aws): Shared, headers: HeaderMap, body: Bytes) -> Response {
    assert_eq!(
        header(&headers, "content-type"),
        "application/x-amz-json-1.1"
    );
    let body: Value = serde_json::from_slice(&body).unwrap();
    let signature = header(&headers, "authorization");
    let (_, from) = signature.split_once("Credential=ASIA").unwrap();
    let number: usize = from.split('/').next().unwrap().parse().unwrap();
    let session = format!("session-{number}");
    assert_eq!(header(&headers, "x-amz-security-token"), session);
    assert!(signature.contains("x-amz-security-token"), "{signature}");
    aws.seen.lock().unwrap().push(session);
    if number < aws.good_from.load(Ordering::Relaxed) {
        let ended = json!({"__type": "ExpiredTokenException", "message": "x"});
        return (StatusCode::BAD_REQUEST, Json(ended)).into_response();
    }
    // A key is of no concern here: what is wrapped is what was plain.
    Json(json!({"CiphertextBlob": body["Plaintext"], "KeyId": "the-key"})).into_response()
}

#[tokio::test]
async fn credentials_come_from_whoever_hands_them_out_and_are_fetched_before_they_end() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    for who in ["instance", "container", "web identity"] {
        let aws = Aws::start().await;
        std::fs::write(&token, "jwt\n").unwrap();
        let at = |path: &str| format!("{}{path}", aws.address);
        let environment = match who {
            "instance" => vec![("AWS_EC2_METADATA_SERVICE_ENDPOINT", at(""))],
            "container" => vec![
                ("AWS_CONTAINER_CREDENTIALS_FULL_URI", at("v2/credentials/1")),
                (
                    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
                    "container-token".to_owned(),
                ),
            ],
            _ => vec![
                ("AWS_WEB_IDENTITY_TOKEN_FILE", token.display().to_string()),
                ("AWS_ROLE_ARN", "arn:aws:iam::1:role/attorn".to_owned()),
                ("AWS_ENDPOINT_URL_STS", at("sts")),
            ],
        };
        let key = aws.key(&environment);
        // However many ask at once, they are fetched once.
        let wraps = (0..10).map(|_| key.wrap(b"plain", b"row"));
        for wrapped in futures::future::join_all(wraps).await {
            wrapped.unwrap();
        }
        assert_eq!(aws.handed_out(), 1, "{who}");
        aws.signed_by();

        aws.clock.advance(Duration::from_secs(54 * 60));
        key.wrap(b"plain", b"row").await.unwrap();
        assert_eq!(aws.signed_by(), ["session-0"], "{who}");
        // Five minutes before their end nobody hands out others: these still live.
        aws.clock.advance(Duration::from_secs(2 * 60));
        aws.is_away.store(true, Ordering::Relaxed);
        key.wrap(b"plain", b"row").await.unwrap();
        assert_eq!(aws.signed_by(), ["session-0"], "{who}");
        aws.is_away.store(false, Ordering::Relaxed);
        aws.clock.advance(Duration::from_secs(2));
        key.wrap(b"plain", b"row").await.unwrap();
        assert_eq!(aws.signed_by(), ["session-1"], "{who}");
        // Past their end it is said that there are none, not tried with the old.
        aws.is_away.store(true, Ordering::Relaxed);
        aws.clock.advance(Duration::from_secs(3600));
        let refused = key.wrap(b"plain", b"row").await.unwrap_err().to_string();
        assert!(refused.contains("no credentials for AWS"), "{refused}");
        assert!(aws.signed_by().is_empty());
    }
}

#[tokio::test]
async fn credentials_that_were_taken_back_are_fetched_anew_once() {
    let aws = Aws::start().await;
    let environment = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", aws.address.clone())];
    let key = aws.key(&environment);
    key.wrap(b"plain", b"row").await.unwrap();
    aws.good_from.store(1, Ordering::Relaxed);
    key.wrap(b"plain", b"row").await.unwrap();
    assert_eq!(aws.signed_by(), ["session-0", "session-0", "session-1"]);
    // Where none is good it is refused, and not asked for ever.
    aws.good_from.store(1_000, Ordering::Relaxed);
    let refused = key.wrap(b"plain", b"row").await.unwrap_err().to_string();
    assert!(refused.contains("ExpiredTokenException"), "{refused}");
    assert_eq!(aws.signed_by().len(), 2);
}
