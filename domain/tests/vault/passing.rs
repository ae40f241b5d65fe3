//! Large and slow bodies pass through the proxy: nothing waits for their end,
//! nothing holds them, and no echo of the token slips through between pieces.

use std::sync::Arc;

use bytes::Bytes;
use domain::oauth::RequestHead;
use domain::outbound::Body;
use domain::secret::Secret;
use domain::vault::proxy::{self, ProxyAnswer, ProxyRequest};
use domain::vault::{AccessMode, connections};
use futures::StreamExt as _;
use http::{HeaderMap, Method, StatusCode};
use sandbox::Provider;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::permission::give;
use crate::stage::{Stage, connection, new_connection};

/// What the API of this story waits for and tells.
#[derive(Default)]
struct Signs {
    /// It has read a head, or a first piece.
    heard: Notify,
    /// It may go on.
    go_on: Notify,
}

/// An API that takes its time; gives its address.
async fn api(signs: Arc<Signs>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, signs.clone()));
        }
    });
    base
}

async fn answer(mut stream: TcpStream, signs: Arc<Signs>) {
    let mut heard = Vec::new();
    let end = loop {
        if let Some(at) = heard.windows(4).position(|end| end == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut heard).await.unwrap_or(0) == 0 {
            return;
        }
    };
    let head = String::from_utf8_lossy(&heard[..end]).into_owned();
    let value = |name: &str| {
        head.lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    let token = value("authorization: Bearer");
    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
    let stream_head =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let text = match head.split(' ').nth(1).unwrap_or_default() {
        "/slow" => {
            let first = format!("{stream_head}{}", chunk("data: one\n\n"));
            stream.write_all(first.as_bytes()).await.unwrap();
            signs.go_on.notified().await;
            format!("{}0\r\n\r\n", chunk("data: two\n\n"))
        }
        "/echo" => {
            let (one, two) = token.split_at(token.len() / 2);
            format!(
                "{stream_head}{}{}0\r\n\r\n",
                chunk(&format!("it is {one}")),
                chunk(&format!("{two} indeed"))
            )
        }
        "/broken" => format!("{stream_head}{}", chunk("data: one\n\n")),
        "/hang" => {
            signs.heard.notify_one();
            signs.go_on.notified().await;
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}".to_owned()
        }
        "/refuse" => {
            let length: usize = value("content-length:").parse().unwrap();
            let mut read = heard.len() - end;
            let mut piece = vec![0; 65_536];
            while read < length {
                read += stream.read(&mut piece).await.unwrap();
            }
            "HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\n{}".to_owned()
        }
        "/count" => {
            let length: usize = value("content-length:").parse().unwrap_or(0);
            let mut read = heard.len() - end;
            let mut piece = vec![0; 65_536];
            while read < length {
                let more = stream.read(&mut piece).await.unwrap();
                if more == 0 {
                    return;
                }
                read += more;
                signs.heard.notify_one();
            }
            let said = format!("{read} of {length}");
            format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{said}",
                said.len()
            )
        }
        other => panic!("nobody asks for {other}"),
    };
    let _ = stream.write_all(text.as_bytes()).await;
}

struct Story {
    stage: Stage,
    provider: Provider,
    signs: Arc<Signs>,
    token: Secret<String>,
}

impl Story {
    async fn new() -> Self {
        Self::at(Provider::Slack).await
    }

    async fn at(provider: Provider) -> Self {
        let stage = Stage::new().await;
        let signs = Arc::new(Signs::default());
        let base = format!("{}/{provider}", stage.sandbox.url());
        let mut new = new_connection(provider, &base);
        new.overrides.api_base = Some(api(signs.clone()).await);
        connections::put(&stage, new).await.unwrap();
        let (client, _) = stage.bench.client("Agent").await;
        let account = stage.link(provider).await;
        give(&stage, &client.id, &account, AccessMode::Call).await;
        let audience = stage.settings.proxy_audience();
        let token = stage
            .bench
            .access_token(&client, Some(&stage.ada), &audience, &[]);
        Self {
            stage,
            provider,
            signs,
            token,
        }
    }

    async fn pass(
        &self,
        method: Method,
        path: &str,
        body: Body,
    ) -> Result<ProxyAnswer<Body>, proxy::Error> {
        let request = ProxyRequest {
            connection: connection(self.provider).to_owned(),
            host: None,
            method,
            path_and_query: path.to_owned(),
            headers: HeaderMap::new(),
            body,
        };
        proxy::pass(
            &self.stage,
            &RequestHead::bearer(self.token.expose()),
            request,
        )
        .await
    }

    async fn get(&self, path: &str) -> ProxyAnswer<Body> {
        let nothing = Body::Whole(Bytes::new());
        self.pass(Method::GET, path, nothing).await.unwrap()
    }
}

fn pieces(answer: ProxyAnswer<Body>) -> domain::outbound::Chunks {
    assert_eq!(answer.status, StatusCode::OK);
    match answer.body {
        Body::Passing { chunks, .. } => chunks,
        Body::Whole(bytes) => panic!("it was held: {bytes:?}"),
    }
}

#[tokio::test]
async fn an_answer_that_comes_slowly_passes_as_it_comes_and_is_on_record_before() {
    let story = Story::new().await;
    let mut chunks = pieces(story.get("/slow").await);
    assert_eq!(story.stage.events("call.made").await, 1);
    assert_eq!(chunks.next().await.unwrap().unwrap(), "data: one\n\n");
    story.signs.go_on.notify_one();
    assert_eq!(chunks.next().await.unwrap().unwrap(), "data: two\n\n");
    assert!(chunks.next().await.is_none());
}

#[tokio::test]
async fn an_echo_of_the_token_is_removed_across_pieces() {
    let story = Story::new().await;
    let chunks = pieces(story.get("/echo").await);
    let text: Vec<Bytes> = chunks.map(Result::unwrap).collect().await;
    assert_eq!(text.concat(), b"it is [removed] indeed");
}

#[tokio::test]
async fn an_answer_that_breaks_off_breaks_off_for_the_agent_too() {
    let story = Story::new().await;
    let mut chunks = pieces(story.get("/broken").await);
    assert_eq!(chunks.next().await.unwrap().unwrap(), "data: one\n\n");
    assert!(chunks.next().await.unwrap().is_err());
    assert!(chunks.next().await.is_none());
}

#[tokio::test]
async fn a_large_request_is_at_the_provider_before_its_end_is_at_ours() {
    const PIECE: usize = 1024 * 1024;
    const PIECES: usize = 64;
    let story = Story::new().await;
    let signs = story.signs.clone();
    let chunks = futures::stream::iter(0..PIECES).then(move |number| {
        let signs = signs.clone();
        async move {
            // The last piece comes when the provider has read of the first ones.
            if number + 1 == PIECES {
                signs.heard.notified().await;
            }
            Ok(Bytes::from(vec![b'x'; PIECE]))
        }
    });
    let body = Body::Passing {
        chunks: Box::pin(chunks),
        length: Some((PIECE * PIECES) as u64),
    };
    let answer = story.pass(Method::POST, "/count", body).await.unwrap();
    let said = answer.body.whole(100).await.unwrap();
    assert_eq!(said, format!("{0} of {0}", PIECE * PIECES));
}

#[tokio::test]
async fn a_request_that_breaks_off_is_unknown_and_on_record() {
    let story = Story::new().await;
    let chunks = futures::stream::iter([
        Ok(Bytes::from(vec![b'x'; 100])),
        Err(domain::outbound::BrokeOff("the agent went away".to_owned())),
    ]);
    let body = Body::Passing {
        chunks: Box::pin(chunks),
        length: Some(2_000_000),
    };
    let error = story
        .pass(Method::POST, "/count", body)
        .await
        .err()
        .unwrap();
    assert!(matches!(error, proxy::Error::Unknown), "{error:?}");
    assert_eq!(story.stage.events("call.made").await, 1);
}

#[tokio::test]
async fn a_body_that_has_passed_is_not_sent_again_after_a_401_but_the_token_is_renewed() {
    let story = Story::at(Provider::Google).await;
    let before = story.stage.refreshes(Provider::Google);
    for (length, again) in [(2_000_000_usize, false), (1000, true)] {
        let body = Body::Passing {
            chunks: Box::pin(futures::stream::iter([Ok(Bytes::from(vec![b'x'; length]))])),
            length: Some(length as u64),
        };
        let answer = story.pass(Method::POST, "/refuse", body).await.unwrap();
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{again}");
    }
    assert_eq!(story.stage.refreshes(Provider::Google), before + 2);
}

#[tokio::test]
async fn what_is_longer_than_may_pass_is_refused_before_anything_is_sent() {
    let story = Story::new().await;
    let body = Body::Passing {
        chunks: Box::pin(futures::stream::empty()),
        length: Some(proxy::PASSING_LIMIT + 1),
    };
    let error = story
        .pass(Method::POST, "/count", body)
        .await
        .err()
        .unwrap();
    assert!(matches!(error, proxy::Error::BodyTooLarge(_)), "{error:?}");
    assert_eq!(story.stage.events("call.made").await, 0);
}

#[tokio::test]
async fn a_call_is_on_record_though_its_agent_went_away() {
    let story = Arc::new(Story::new().await);
    let gone = tokio::spawn({
        let story = story.clone();
        async move { story.get("/hang").await }
    });
    story.signs.heard.notified().await;
    gone.abort();
    assert!(gone.await.is_err());
    let mut signals = story.stage.store.signals();
    story.signs.go_on.notify_one();
    while story.stage.events("call.made").await == 0 {
        let _ = tokio::time::timeout(std::time::Duration::from_millis(100), signals.recv()).await;
    }
}
