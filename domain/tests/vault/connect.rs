//! Tickets: what a client hears when the person's way does not end well.

use domain::oauth::{Client, NewClient, RequestHead, Source};
use domain::vault::connect::{self, Answer, CREATE};
use sandbox::Provider;
use url::Url;

use crate::stage::{REDIRECT, SESSION, Stage, connection};

const BACK: &str = "https://agent.test/callback";

async fn agent(stage: &Stage) -> Client {
    let new = NewClient {
        redirect_uris: vec![BACK.to_owned()],
        scopes: vec![CREATE.to_owned()],
        ..NewClient::confidential("Agent", Source::Admin)
    };
    stage.bench.register(new).await.0
}

/// A ticket for Slack.
async fn ticket(stage: &Stage, client: &Client) -> String {
    let audience = stage.settings.me_audience();
    let token = stage
        .bench
        .access_token(client, Some(&stage.ada), &audience, &[CREATE]);
    let ask = connect::Ask {
        connection: connection(Provider::Slack).to_owned(),
        redirect_uri: BACK.to_owned(),
        state: Some("s1".to_owned()),
        code_challenge: None,
    };
    let head = RequestHead::bearer(token.expose());
    let asked = connect::ask(stage, &head, ask).await.unwrap();
    asked.ticket.expose().clone()
}

async fn follow(stage: &Stage, ticket: &str, callback: &str) -> Url {
    let answer = Answer::Link {
        callback: callback.to_owned(),
    };
    connect::follow(stage, &stage.ada.id, SESSION, ticket, answer)
        .await
        .unwrap()
}

fn tells_error(to: &Url) -> bool {
    to.as_str().starts_with(BACK)
        && to
            .query_pairs()
            .any(|pair| pair == ("error".into(), "server_error".into()))
        && to
            .query_pairs()
            .any(|pair| pair == ("state".into(), "s1".into()))
}

#[tokio::test]
async fn a_client_hears_of_a_link_that_cannot_even_begin() {
    let stage = Stage::new().await;
    let client = agent(&stage).await;
    let ticket = ticket(&stage, &client).await;
    let to = follow(&stage, &ticket, "this is no address").await;
    assert!(tells_error(&to), "{to}");
    assert_eq!(stage.events("connect.refused").await, 1);
}

#[tokio::test]
async fn an_account_of_another_connection_does_not_answer_a_ticket() {
    let stage = Stage::new().await;
    let client = agent(&stage).await;
    let ticket = ticket(&stage, &client).await;
    follow(&stage, &ticket, REDIRECT).await;
    let google = stage.link(Provider::Google).await;
    let row = stage.row("select id from connect_requests", vec![]).await;
    let id: String = row.unwrap().get("id").unwrap();
    let return_to = format!("/connected-accounts/linked/{id}");
    let to = connect::linked(&stage, SESSION, &return_to, Ok(&google))
        .await
        .unwrap();
    assert!(tells_error(&to), "{to}");
}
