use std::time::Duration;

use super::*;
use crate::audit::Kind;
use crate::identity::{self, State};
use crate::oauth::{ClientState, access, clients};
use crate::testing::VERIFIER;

async fn redeem(
    bench: &Bench,
    client: &Client,
    secret: &Secret<String>,
    code: &Secret<String>,
    verifier: &str,
) -> Result<TokenAnswer, OauthError> {
    let pairs = [
        ("grant_type", "authorization_code"),
        ("code", code.expose().as_str()),
        ("redirect_uri", "https://agent.test/callback"),
        ("code_verifier", verifier),
    ];
    ask(bench, client, secret, &pairs).await
}

#[tokio::test]
async fn a_code_gives_tokens_once_and_a_replay_ends_them() {
    let bench = Bench::new().await;
    let ada = bench.person("ada@example.com").await;
    let (client, secret) = bench.client("Agent").await;
    let code = bench.code(&client, &ada, "openid offline_access").await;
    let answer = redeem(&bench, &client, &secret, &code, VERIFIER)
        .await
        .unwrap();
    let audience = &bench.settings.issuer;
    let presented = access::verify(&bench, answer.access_token.expose(), audience)
        .await
        .unwrap();
    assert_eq!(presented.person_id.as_deref(), Some(ada.id.as_str()));
    assert_eq!(presented.client_id, client.id);

    let again = redeem(&bench, &client, &secret, &code, VERIFIER).await;
    assert_eq!(refused(again), Code::InvalidGrant);
    let dead = access::verify(&bench, answer.access_token.expose(), audience).await;
    assert_eq!(dead.unwrap_err().code, Code::InvalidToken);
    let pairs = [
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh_token(&answer)),
    ];
    let refresh = ask(&bench, &client, &secret, &pairs).await;
    assert_eq!(refused(refresh), Code::InvalidGrant);
    assert_eq!(events(&bench, Kind::TokenReused).await, 1);
}

#[tokio::test]
async fn a_code_is_not_redeemed_for_another_audience_than_it_was_asked_for() {
    let bench = Bench::new().await;
    let ada = bench.person("ada@example.com").await;
    let (client, secret) = bench.client("Agent").await;
    let code = bench.code(&client, &ada, "openid").await;
    let (issuer, proxy) = (&bench.settings.issuer, bench.settings.proxy_audience());
    for (resource, good) in [(proxy.as_str(), false), (issuer.as_str(), true)] {
        let pairs = [
            ("grant_type", "authorization_code"),
            ("code", code.expose().as_str()),
            ("code_verifier", VERIFIER),
            ("resource", resource),
        ];
        let answer = ask(&bench, &client, &secret, &pairs).await;
        if good {
            answer.unwrap();
        } else {
            // And the code is as good as before.
            assert_eq!(refused(answer), Code::InvalidTarget);
        }
    }
}

#[tokio::test]
async fn a_hundred_redemptions_of_one_code_give_one_token() {
    let bench = Bench::new().await;
    let ada = bench.person("ada@example.com").await;
    let (client, secret) = bench.client("Agent").await;
    let code = bench.code(&client, &ada, "openid offline_access").await;
    let all = (0..100).map(|_| redeem(&bench, &client, &secret, &code, VERIFIER));
    let answers = futures::future::join_all(all).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    for answer in answers.into_iter().filter(Result::is_err) {
        assert_eq!(refused(answer), Code::InvalidGrant);
    }
}

#[tokio::test]
async fn a_wrong_verifier_gives_nothing_and_costs_nothing() {
    let bench = Bench::new().await;
    let ada = bench.person("ada@example.com").await;
    let (client, secret) = bench.client("Agent").await;
    let code = bench.code(&client, &ada, "openid").await;
    let wrong = VERIFIER.replace('d', "e");
    let answer = redeem(&bench, &client, &secret, &code, &wrong).await;
    assert_eq!(refused(answer), Code::InvalidGrant);
    let short = redeem(&bench, &client, &secret, &code, "short").await;
    assert_eq!(refused(short), Code::InvalidRequest);
    redeem(&bench, &client, &secret, &code, VERIFIER)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_code_runs_out_after_a_minute() {
    let bench = Bench::new().await;
    let ada = bench.person("ada@example.com").await;
    let (client, secret) = bench.client("Agent").await;
    let code = bench.code(&client, &ada, "openid").await;
    bench.advance(Duration::from_secs(60));
    let late = redeem(&bench, &client, &secret, &code, VERIFIER).await;
    assert_eq!(refused(late), Code::InvalidGrant);
}

#[tokio::test]
async fn another_client_cannot_redeem_a_code() {
    let bench = Bench::new().await;
    let ada = bench.person("ada@example.com").await;
    let (client, secret) = bench.client("Agent").await;
    let (other, others) = bench.client("Other").await;
    let code = bench.code(&client, &ada, "openid").await;
    let stolen = redeem(&bench, &other, &others, &code, VERIFIER).await;
    assert_eq!(refused(stolen), Code::InvalidGrant);
    redeem(&bench, &client, &secret, &code, VERIFIER)
        .await
        .unwrap();
}

#[tokio::test]
async fn another_redirect_address_is_refused() {
    let bench = Bench::new().await;
    let ada = bench.person("ada@example.com").await;
    let (client, secret) = bench.client("Agent").await;
    let code = bench.code(&client, &ada, "openid").await;
    let pairs = [
        ("grant_type", "authorization_code"),
        ("code", code.expose().as_str()),
        ("redirect_uri", "https://agent.test/callback/"),
        ("code_verifier", VERIFIER),
    ];
    let answer = ask(&bench, &client, &secret, &pairs).await;
    assert_eq!(refused(answer), Code::InvalidGrant);
}

#[tokio::test]
async fn a_locked_person_and_a_frozen_client_get_nothing_from_then_on() {
    let bench = Bench::new().await;
    let ada = bench.person("ada@example.com").await;
    let (client, secret) = bench.client("Agent").await;
    let tokens = bench.tokens(&client, &ada, "openid offline_access").await;
    let code = bench.code(&client, &ada, "openid").await;
    let audience = bench.settings.issuer.clone();
    let refresh = [
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh_token(&tokens)),
    ];

    identity::set_state(&bench, None, &ada.id, State::Locked)
        .await
        .unwrap();
    let answer = redeem(&bench, &client, &secret, &code, VERIFIER).await;
    assert_eq!(refused(answer), Code::InvalidGrant);
    let answer = ask(&bench, &client, &secret, &refresh).await;
    assert_eq!(refused(answer), Code::InvalidGrant);
    assert!(
        access::verify(&bench, tokens.access_token.expose(), &audience)
            .await
            .is_err()
    );

    identity::set_state(&bench, None, &ada.id, State::Active)
        .await
        .unwrap();
    assert!(
        access::verify(&bench, tokens.access_token.expose(), &audience)
            .await
            .is_ok()
    );
    clients::freeze(&bench, None, &client.id, ClientState::Frozen)
        .await
        .unwrap();
    assert!(
        access::verify(&bench, tokens.access_token.expose(), &audience)
            .await
            .is_err()
    );
    let answer = redeem(&bench, &client, &secret, &code, VERIFIER).await;
    assert_eq!(refused(answer), Code::InvalidClient);
    // Even one who is past authentication already: the row is read in the write.
    let request = token::TokenRequest::Refresh {
        token: refresh_token(&tokens).into(),
        scopes: None,
        audience: None,
    };
    assert_eq!(
        refused(token::grant(&bench, request, &client, None).await),
        Code::InvalidGrant
    );
}
