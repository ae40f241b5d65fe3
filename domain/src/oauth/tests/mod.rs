//! Stories of the authorization server, one file per part.

mod actor;
mod assertion;
mod authorize;
mod ciba;
mod clients;
mod code;
mod device;
mod dpop;
mod exchange;
mod exchange_own;
mod fuzz;
mod grants;
mod key;
mod networks;
mod person_hint;
mod refresh;
mod rotation;
mod tokens;
mod turns;

use std::collections::BTreeMap;

use super::{Client, Code, OauthError, Params, RequestHead, TokenAnswer, token};
use crate::secret::Secret;
use crate::testing::Bench;

/// A request with this `Authorization`.
fn head(authorization: &str) -> RequestHead {
    RequestHead {
        authorization: Some(authorization.to_owned()),
        ..RequestHead::default()
    }
}

/// A request at the token endpoint, authenticated in the body.
async fn ask(
    bench: &Bench,
    client: &Client,
    secret: &Secret<String>,
    pairs: &[(&str, &str)],
) -> Result<TokenAnswer, OauthError> {
    let mut all: BTreeMap<&str, &str> = pairs.iter().copied().collect();
    all.insert("client_id", &client.id);
    all.insert("client_secret", secret.expose());
    token::answer(bench, &RequestHead::default(), &Params::new(all)?).await
}

/// The code of a refusal.
fn refused(answer: Result<TokenAnswer, OauthError>) -> Code {
    match answer {
        Ok(_) => panic!("it should have been refused"),
        Err(error) => error.code,
    }
}

fn refresh_token(answer: &TokenAnswer) -> &str {
    answer
        .refresh_token
        .as_ref()
        .map(|token| token.expose().as_str())
        .expect("there is a refresh token")
}

/// How many events of this kind were recorded.
async fn events(bench: &Bench, kind: crate::audit::Kind) -> i64 {
    let mut rx = bench.store.reader().await.unwrap();
    let row = rx
        .optional(
            "select count(*) as n from events where kind = $1",
            vec![kind.word().into()],
        )
        .await
        .unwrap()
        .unwrap();
    row.get("n").unwrap()
}
