//! `attorn demo` as a process of its own, and what it leaves behind.

use std::collections::BTreeMap;
use std::path::Path;

use axum::http::header;
use tokio::process::Command;

use crate::house::{FORM, basic, form, read};
use crate::process::{attorn, says};

const KEYS: [&str; 21] = [
    "ATTORN_ACCESS_TOKEN",
    "ATTORN_ADMIN_EMAIL",
    "ATTORN_ADMIN_PASSWORD",
    "ATTORN_API_CLIENT_ID",
    "ATTORN_API_CLIENT_SECRET",
    "ATTORN_AUDIENCE",
    "ATTORN_CA_FILE",
    "ATTORN_CLIENT_ID",
    "ATTORN_CLIENT_SECRET",
    "ATTORN_CONNECTION_GOOGLE",
    "ATTORN_CONNECTION_SALESFORCE",
    "ATTORN_CONNECTION_SLACK",
    "ATTORN_DECIDE_URL",
    "ATTORN_DETAILS_TYPE",
    "ATTORN_DOMAIN",
    "ATTORN_REDIRECT_URI",
    "ATTORN_REFRESH_TOKEN",
    "ATTORN_URL",
    "ATTORN_USER_EMAIL",
    "ATTORN_USER_ID",
    "ATTORN_USER_PASSWORD",
];

/// What a shell that sources the file has in its environment.
async fn sourced(file: &Path) -> BTreeMap<String, String> {
    let mut shell = Command::new("/bin/sh");
    shell
        .args(["-euc", "set -a; . \"$0\"; env -0"])
        .arg(file)
        .env_clear()
        .env("PATH", "/usr/bin:/bin");
    let output = shell.output().await.unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    text.split('\0')
        .filter_map(|pair| pair.split_once('='))
        .filter(|(name, _)| name.starts_with("ATTORN_"))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[expect(
    clippy::disallowed_methods,
    reason = "this client stands outside of the product and calls it"
)]
fn trusting(authority: &str) -> reqwest::Client {
    let pem = std::fs::read(authority).unwrap();
    let authority = reqwest::Certificate::from_pem(&pem).unwrap();
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .tls_certs_only([authority])
        .build()
        .unwrap()
}

#[tokio::test]
async fn over_tls_everything_an_outside_client_needs_is_in_the_env_file() {
    let folder = tempfile::tempdir().unwrap();
    // A path that a shell would tear apart.
    let data = folder.path().join("it's data");
    let file = folder.path().join("demo.env");
    let mut command = attorn(&["demo", "--tls", "--port", "0", "--link", "slack"]);
    command
        .arg("--data")
        .arg(&data)
        .arg("--env-file")
        .arg(&file);
    let mut child = command.spawn().unwrap();
    let errors = child.stderr.take().unwrap();
    tokio::spawn(async move {
        let mut sink = tokio::io::sink();
        let mut errors = errors;
        tokio::io::copy(&mut errors, &mut sink).await
    });
    says(child.stdout.take().unwrap(), "Stop with Ctrl-C").await;
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(text.lines().count(), KEYS.len());
    let values = sourced(&file).await;
    assert_eq!(values.keys().collect::<Vec<_>>(), KEYS.each_ref());
    for (name, value) in &values {
        assert!(!value.is_empty(), "{name}");
    }
    let value = |name: &str| values[name].as_str();
    let url = value("ATTORN_URL");
    assert_eq!(url, format!("https://{}", value("ATTORN_DOMAIN")));
    assert!(url.starts_with("https://localhost:"));

    let stranger = crate::house::outside().get(url).send().await;
    assert!(stranger.is_err(), "nobody else vouches for it");
    let http = trusting(value("ATTORN_CA_FILE"));
    let ready = read(http.get(format!("{url}/readyz")).send().await.unwrap()).await;
    assert_eq!(ready.status, 200);
    assert!(
        ready
            .header("strict-transport-security")
            .contains("max-age=")
    );
    let post = |path: &str, fields: &[(&str, &str)]| {
        http.post(format!("{url}{path}"))
            .header(header::CONTENT_TYPE, FORM)
            .body(form(fields))
    };
    let person = [
        ("email", value("ATTORN_USER_EMAIL")),
        ("password", value("ATTORN_USER_PASSWORD")),
    ];
    let signed_in = read(post("/sign-in", &person).send().await.unwrap()).await;
    assert_eq!(signed_in.status, 303, "{}", signed_in.body);
    let cookie = signed_in.header("set-cookie");
    assert!(cookie.starts_with("__Host-attorn="), "{cookie}");
    for attribute in ["Secure", "HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(cookie.contains(attribute), "{attribute}");
    }
    let fields = [
        (
            "grant_type",
            "urn:ietf:params:oauth:grant-type:token-exchange",
        ),
        ("subject_token", value("ATTORN_REFRESH_TOKEN")),
        (
            "subject_token_type",
            "urn:ietf:params:oauth:token-type:refresh_token",
        ),
        ("connection", value("ATTORN_CONNECTION_SLACK")),
    ];
    let authorization = basic(value("ATTORN_CLIENT_ID"), value("ATTORN_CLIENT_SECRET"));
    let exchange = post("/oauth/token", &fields).header(header::AUTHORIZATION, authorization);
    let exchanged = read(exchange.send().await.unwrap()).await;
    assert_eq!(exchanged.status, 200, "{}", exchanged.body);
    assert!(!exchanged.text("access_token").is_empty());
    let decide = format!("{}?token=none&type=allow", value("ATTORN_DECIDE_URL"));
    let nothing = read(http.post(decide).send().await.unwrap()).await;
    assert_eq!(nothing.status, 404, "{}", nothing.body);
    child.kill().await.unwrap();

    // Known passwords: never to be served as if it were real.
    // Not from its folder, and not with its key.
    let elsewhere = tempfile::tempdir().unwrap();
    for database in [data.join("attorn.db"), elsewhere.path().join("attorn.db")] {
        let refused = attorn(&["serve"])
            .env(
                "ATTORN_DATABASE__URL",
                format!("sqlite:{}", database.display()),
            )
            .env("ATTORN_VAULT__KEY_FILE", data.join("key/attorn.key"))
            .env("ATTORN_SERVER__LISTEN", "127.0.0.1:0")
            .output()
            .await
            .unwrap();
        assert!(!refused.status.success());
        let sentence = String::from_utf8(refused.stderr).unwrap();
        assert!(
            sentence.contains("was made by attorn demo; choose another database.url"),
            "{sentence}"
        );
    }
}
