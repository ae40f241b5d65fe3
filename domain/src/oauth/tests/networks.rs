//! A refresh token that does not rotate is watched by where it is used from.

use super::*;
use crate::audit::Kind;
use crate::oauth::{NewClient, Source};

async fn scene(rotates: bool) -> (Bench, Client, Secret<String>, String) {
    let bench = Bench::new().await;
    let ada = bench.person("ada@example.com").await;
    let mut new = NewClient::confidential("Agent", Source::Command);
    new.redirect_uris = vec!["https://agent.test/callback".to_owned()];
    new.rotate_refresh = rotates;
    let (client, secret) = bench.register(new).await;
    let tokens = bench.tokens(&client, &ada, "offline_access").await;
    let token = refresh_token(&tokens).to_owned();
    (bench, client, secret, token)
}

/// Refreshes from this address; the token to go on with.
async fn refresh(
    bench: &Bench,
    (client, secret): (&Client, &Secret<String>),
    token: &str,
    from: &str,
) -> String {
    let head = RequestHead {
        address: Some(from.parse().unwrap()),
        ..RequestHead::default()
    };
    let params = Params::new([
        ("grant_type", "refresh_token"),
        ("client_id", client.id.as_str()),
        ("client_secret", secret.expose().as_str()),
        ("refresh_token", token),
    ]);
    let answer = token::answer(bench, &head, &params.unwrap()).await.unwrap();
    match &answer.refresh_token {
        Some(next) => next.expose().clone(),
        None => token.to_owned(),
    }
}

#[tokio::test]
async fn a_lasting_token_used_from_a_new_network_is_an_event_once() {
    let (bench, client, secret, token) = scene(false).await;
    let who = (&client, &secret);
    for (from, alerts) in [
        ("192.0.2.1", 0),
        ("192.0.2.1", 0),
        ("198.51.100.7", 1),
        ("192.0.2.1", 1),
        ("198.51.100.7", 1),
        ("2001:db8:1:2::3", 2),
        ("2001:db8:1:2::4", 2),
    ] {
        refresh(&bench, who, &token, from).await;
        let told = events(&bench, Kind::TokenNewNetwork).await;
        assert_eq!(told, alerts, "{from}");
    }
}

#[tokio::test]
async fn a_token_that_rotates_is_not_watched() {
    let (bench, client, secret, mut token) = scene(true).await;
    for from in ["192.0.2.1", "198.51.100.7"] {
        token = refresh(&bench, (&client, &secret), &token, from).await;
    }
    assert_eq!(events(&bench, Kind::TokenNewNetwork).await, 0);
}
