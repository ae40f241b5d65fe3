//! The faults of the laboratory, as a client sees them.

use sandbox::{Fault, Provider, Rotation, Target, Times};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Answer, World, text, token_path};

const GOOGLE: Provider = Provider::Google;

async fn linked() -> (World, String) {
    let world = World::start().await;
    let refresh = text(&world.link(GOOGLE, &[]).await, "refresh_token");
    (world, refresh)
}

/// The answer to one refresh under a fault, at a sandbox of its own.
async fn refreshed(fault: Fault) -> Answer {
    let (world, refresh) = linked().await;
    world.control.set_fault(GOOGLE, fault, Times::Once);
    world.refresh(GOOGLE, &refresh).await
}

type Fits = fn(&Answer) -> bool;

#[tokio::test]
async fn a_service_that_is_unwell_has_done_nothing() {
    let checks: [(Fault, u16, Fits); 14] = [
        (Fault::RateLimitedUntil { seconds: 30 }, 429, |a| {
            a.header("retry-after") == Some("Tue, 24 Nov 2026 08:00:30 GMT")
        }),
        (Fault::BadGateway, 502, |a| a.json().is_object()),
        (Fault::GatewayTimeout, 504, |a| a.json().is_object()),
        (Fault::MaintenancePage { retry_after: 9 }, 503, |a| {
            a.header("retry-after") == Some("9") && a.text.starts_with("<!doctype")
        }),
        (Fault::ErrorIn200, 200, |a| {
            a.json()["error"] == "temporarily_unavailable"
        }),
        (Fault::ErrorAsText, 400, |a| a.text == "invalid_grant"),
        (Fault::ErrorAsObject, 400, |a| a.json()["error"].is_object()),
        (Fault::UnknownErrorCode, 400, |a| {
            a.json()["error"] == "policy_says_no"
        }),
        (Fault::InvalidGrant { status: 403 }, 403, |a| {
            a.json()["error"] == "invalid_grant"
        }),
        (Fault::InvalidClient { status: 401 }, 401, |a| {
            a.json()["error"] == "invalid_client"
        }),
        (Fault::RedirectFound, 302, |a| {
            a.header("location").unwrap().ends_with("/elsewhere")
        }),
        (Fault::RedirectPermanent, 308, |a| a.text.is_empty()),
        (Fault::NoContent, 204, |a| a.text.is_empty()),
        (Fault::TimeoutAfterRotation, 504, |a| a.json().is_object()),
    ];
    for (fault, status, fits) in checks {
        let (world, refresh) = linked().await;
        world.control.set_fault(GOOGLE, fault, Times::Once);
        let issued = world.control.issued_tokens().len();
        let answer = world.refresh(GOOGLE, &refresh).await;
        assert_eq!(answer.status, status, "{fault}");
        assert!(fits(&answer), "{fault}: {}", answer.text);
        let worked = world.control.issued_tokens().len() > issued;
        let after = [Fault::NoContent, Fault::TimeoutAfterRotation].contains(&fault);
        assert_eq!(worked, after, "{fault}");
        assert_eq!(world.refresh(GOOGLE, &refresh).await.status, 200, "{fault}");
    }
}

#[tokio::test]
async fn a_broken_connection_shows_whether_the_work_was_done() {
    let checks = [
        (Fault::RequestLost, false),
        (Fault::ConnectionReset, false),
        (Fault::AnswerLostAfterRotation, true),
        (Fault::ConnectionResetAfterRotation, true),
        (Fault::ClosedMidHeaders, true),
        (Fault::BodyCutOff, true),
        (Fault::ChunkedWithoutEnd, true),
    ];
    for (fault, worked) in checks {
        let (world, refresh) = linked().await;
        world.control.set_rotation(GOOGLE, Rotation::Strict);
        world.control.set_fault(GOOGLE, fault, Times::Once);
        let issued = world.control.issued_tokens().len();
        assert!(
            world.try_refresh(GOOGLE, &refresh).await.is_err(),
            "{fault}"
        );
        assert_eq!(
            world.control.issued_tokens().len() > issued,
            worked,
            "{fault}"
        );
        let again = world.refresh(GOOGLE, &refresh).await;
        assert_eq!(again.status, if worked { 400 } else { 200 }, "{fault}");
    }
}

#[tokio::test]
async fn a_token_answer_comes_in_odd_shapes() {
    let checks: &[(Fault, Fits)] = &[
        (Fault::ExpiresInText, |a| a.json()["expires_in"] == "3599"),
        (Fault::ExpiresInFloat, |a| a.json()["expires_in"] == 3599.5),
        (Fault::ExpiresInWords, |a| {
            a.json()["expires_in"] == "two hours"
        }),
        (Fault::ExpiresInNull, |a| {
            a.json().get("expires_in") == Some(&Value::Null)
        }),
        (Fault::ExpiresInZero, |a| a.json()["expires_in"] == 0),
        (Fault::ExpiresInNegative, |a| a.json()["expires_in"] == -1),
        (Fault::ExpiresInHuge, |a| a.json()["expires_in"] == i64::MAX),
        (Fault::ScopeList, |a| a.json()["scope"][0] == "openid"),
        (Fault::NoScope, |a| a.json().get("scope").is_none()),
        (Fault::EmptyScope, |a| a.json()["scope"] == ""),
        (Fault::ExtraScopes, |a| {
            text(&a.json(), "scope").ends_with(" extra.unasked")
        }),
        (Fault::EmptyAccessToken, |a| a.json()["access_token"] == ""),
        (Fault::NoAccessToken, |a| {
            a.json().get("access_token").is_none()
        }),
        (Fault::EmptyRefreshToken, |a| {
            a.json()["refresh_token"] == ""
        }),
        (Fault::NoTokenType, |a| a.json().get("token_type").is_none()),
        (Fault::TokenTypeCase, |a| a.json()["token_type"] == "BEARER"),
        (Fault::UnknownTokenType, |a| a.json()["token_type"] == "N_A"),
        (Fault::NullError, |a| {
            a.json().get("error") == Some(&Value::Null)
        }),
        (Fault::WrongContentType, |a| {
            a.header("content-type") == Some("text/html; charset=utf-8") && a.json().is_object()
        }),
        (Fault::FormEncoded, |a| {
            a.text.contains("access_token=ya29.") && a.text.contains("expires_in=3599")
        }),
        (Fault::ByteOrderMark, |a| a.text.starts_with('\u{feff}')),
        (Fault::TrailingGarbage, |a| a.text.ends_with("-->\n")),
        (Fault::CutShort { bytes: 2 }, |a| {
            a.text.ends_with("\"token_type\":\"Bearer")
        }),
        (Fault::DuplicateKeys, |a| {
            a.text.starts_with("{\"access_token\":\"made-up-access\",")
                && text(&a.json(), "access_token").starts_with("ya29.")
        }),
        (Fault::GzipUnasked, |a| {
            a.header("content-encoding") == Some("gzip")
        }),
        (Fault::HugeHeaders { kib: 8 }, |a| {
            a.headers.get_all("x-padding").iter().count() == 8
        }),
        (Fault::SetsCookie, |a| a.header("set-cookie").is_some()),
        (Fault::HopByHopHeaders, |a| {
            a.header("x-internal-route").is_some()
        }),
        (Fault::WrongClock { ahead: 7200 }, |a| {
            a.header("date") == Some("Tue, 24 Nov 2026 10:00:00 GMT")
        }),
        (Fault::Continue100, |a| a.json().is_object()),
        (Fault::EarlyHints, |a| a.json().is_object()),
        (Fault::SlowDrip { ms: 0 }, |a| a.json().is_object()),
    ];
    for (fault, fits) in checks {
        let answer = refreshed(*fault).await;
        assert_eq!(answer.status, 200, "{fault}");
        assert!(fits(&answer), "{fault}: {}", answer.text);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this client only ever talks to the sandbox it started"
)]
#[tokio::test]
async fn odd_bytes_are_what_they_claim_to_be() {
    let raw = async |fault: Fault| {
        let (world, refresh) = linked().await;
        let fields = [
            ("grant_type", "refresh_token"),
            ("refresh_token", &refresh),
            ("client_id", "app"),
            ("client_secret", "s3cret & more"),
        ];
        let answer = reqwest::Client::new()
            .post(format!("{}{}", world.sandbox.url(), token_path(GOOGLE)))
            .header("content-type", "application/x-www-form-urlencoded")
            .header("x-sandbox-fault", fault.to_string())
            .body(crate::support::encoded(&fields))
            .send()
            .await
            .unwrap();
        answer.bytes().await.unwrap().to_vec()
    };
    let utf16 = raw(Fault::Utf16).await;
    let units: Vec<u16> = utf16
        .chunks(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        .collect();
    assert_eq!(units[0], 0xfeff);
    let json: Value = serde_json::from_str(&String::from_utf16(&units[1..]).unwrap()).unwrap();
    assert!(json["access_token"].is_string());

    let latin1 = raw(Fault::WrongCharset).await;
    assert!(std::str::from_utf8(&latin1).is_err());
    let decoded: String = latin1.iter().map(|byte| char::from(*byte)).collect();
    let json: Value = serde_json::from_str(&decoded).unwrap();
    assert_eq!(json["note"], "grüße");

    // A gzip file of one stored block: head, block, checksum, length.
    let gzip = raw(Fault::GzipUnasked).await;
    assert_eq!(gzip[..3], [0x1f, 0x8b, 8]);
    let length = usize::from(u16::from_le_bytes([gzip[11], gzip[12]]));
    let json: Value = serde_json::from_slice(&gzip[15..15 + length]).unwrap();
    assert!(json["access_token"].is_string());
    assert_eq!(gzip.len(), 15 + length + 8);
}

#[tokio::test]
async fn a_refresh_token_can_be_kept_answered_again_or_left_out() {
    let (world, first) = linked().await;
    world.control.set_rotation(GOOGLE, Rotation::Strict);
    for (fault, answered) in [
        (Fault::RefreshTokenKept, None),
        (Fault::SameRefreshToken, Some(first.as_str())),
        (Fault::EmptyRefreshToken, Some("")),
    ] {
        world.control.set_fault(GOOGLE, fault, Times::Once);
        let answer = world.refresh(GOOGLE, &first).await.json();
        assert_eq!(answer["refresh_token"].as_str(), answered, "{fault}");
    }
    world
        .control
        .set_fault(GOOGLE, Fault::RefreshTokenOmitted, Times::Once);
    let answer = world.refresh(GOOGLE, &first).await.json();
    assert_eq!(answer.get("refresh_token"), None);
    assert_eq!(
        world.refresh(GOOGLE, &first).await.status,
        400,
        "it rotated"
    );
}

#[tokio::test]
async fn the_oldest_grant_ends_when_there_are_too_many() {
    let world = World::start().await;
    let cap = Fault::TokenCap { families: 2 };
    world.control.set_fault(GOOGLE, cap, Times::Always);
    let mut tokens = Vec::new();
    for _ in 0..3 {
        let answer = world.link(GOOGLE, &[("prompt", "consent")]).await;
        tokens.push(text(&answer, "refresh_token"));
    }
    let mut alive = Vec::new();
    for token in &tokens {
        alive.push(world.refresh(GOOGLE, token).await.status);
    }
    assert_eq!(alive, [400, 200, 200]);
}

#[tokio::test]
async fn the_way_back_from_the_consent_page_goes_wrong() {
    let world = World::start().await;
    let back = async |fault: Option<Fault>| {
        if let Some(fault) = fault {
            world.control.set_fault(GOOGLE, fault, Times::Once);
        }
        let url = world.authorize_url(GOOGLE, &[]);
        let answer = world.form(&url, &[("email", "ada@example.com")]).await;
        assert_eq!(answer.status, 302);
        ["error", "state", "iss", "code"].map(|name| answer.redirected_with(name))
    };
    let own = world.sandbox.google_url();
    let [error, state, iss, code] = back(None).await;
    assert_eq!((error, state.as_deref()), (None, Some("st")));
    assert_eq!((iss.as_deref(), code.is_some()), (Some(own.as_str()), true));
    for (fault, word) in [
        (Fault::ConsentDenied, "access_denied"),
        (Fault::ConsentServerError, "server_error"),
        (Fault::ConsentUnavailable, "temporarily_unavailable"),
        (Fault::ConsentRequired, "consent_required"),
    ] {
        let [error, state, _, code] = back(Some(fault)).await;
        assert_eq!((error.as_deref(), code), (Some(word), None), "{fault}");
        assert_eq!(state.as_deref(), Some("st"), "{fault}");
    }
    let [_, state, ..] = back(Some(Fault::WrongState)).await;
    assert!(state.is_some_and(|state| state != "st"));
    assert_eq!(back(Some(Fault::NoState)).await[1], None);
    assert_eq!(back(Some(Fault::NoIss)).await[2], None);
    let [_, _, iss, _] = back(Some(Fault::WrongIss)).await;
    assert_eq!(iss.as_deref(), Some("https://somebody-else.example"));
    let [error, _, _, code] = back(Some(Fault::NoCode)).await;
    assert_eq!((error, code), (None, None));
    for fault in [Fault::CodeUsed, Fault::CodeExpired] {
        let code = back(Some(fault)).await[3].clone().unwrap();
        let answer = world.exchange(GOOGLE, &code).await;
        assert_eq!(text(&answer.json(), "error"), "invalid_grant", "{fault}");
    }
}

#[tokio::test]
async fn an_identity_lacks_its_id_or_comes_as_a_number() {
    let world = World::start().await;
    let access = text(&world.link(GOOGLE, &[]).await, "access_token");
    let who = async |fault: Fault| {
        world.control.set_fault(GOOGLE, fault, Times::Once);
        world.get("/google/v1/userinfo", &access).await
    };
    let honest = world.get("/google/v1/userinfo", &access).await.json();
    let digits = text(&honest, "sub");
    assert_eq!(who(Fault::NoIdentityId).await.json().get("sub"), None);
    let number = who(Fault::IdentityAsNumber).await;
    assert!(number.json()["sub"].is_number());
    assert!(number.text.contains(&format!("\"sub\":{digits}")));
    let unverified = who(Fault::UnverifiedEmail).await.json();
    assert_eq!(unverified["email_verified"], false);
}

#[tokio::test]
async fn a_call_is_refused_sent_away_or_answered_with_the_credential() {
    let world = World::start().await;
    let slack = text(&world.link(Provider::Slack, &[]).await, "access_token");
    let call = async |fault: Fault| {
        world
            .control
            .set_fault_on(Provider::Slack, Target::Api, fault, Times::Once);
        world.get("/slack/api/conversations.list", &slack).await
    };
    let status = async |fault| call(fault).await.status;
    assert_eq!(status(Fault::Unauthorized).await, 401);
    assert_eq!(status(Fault::Forbidden).await, 403);
    let challenged = call(Fault::InsufficientScope).await;
    let challenge = challenged.header("www-authenticate").unwrap();
    assert!(challenge.contains("insufficient_scope"));
    let away = call(Fault::RedirectAway).await;
    assert!(
        away.header("location")
            .unwrap()
            .starts_with("http://localhost:")
    );
    let sent = format!("Bearer {slack}");
    let echoed = call(Fault::EchoInBody).await.json();
    assert_eq!(echoed["you_sent"]["authorization"], sent.as_str());
    let echoed = call(Fault::EchoInHeader).await;
    assert_eq!(echoed.header("x-you-sent"), Some(sent.as_str()));
    assert!(call(Fault::EchoAcrossChunks).await.text.contains(&sent));

    // Whoever takes this 401 for "not done" posts twice.
    let fault = Fault::UnauthorizedAfterWork;
    world
        .control
        .set_fault_on(Provider::Slack, Target::Api, fault, Times::Once);
    let message = serde_json::json!({ "channel": "general", "text": "once" });
    let path = "/slack/api/chat.postMessage";
    assert_eq!(world.post_json(path, &slack, message).await.status, 401);
    assert_eq!(world.control.posted_messages().len(), 1);
}

#[tokio::test]
async fn a_stream_without_end_goes_on_for_as_long_as_somebody_reads() {
    let world = World::start().await;
    world
        .control
        .set_fault_on(GOOGLE, Target::Api, Fault::EndlessStream, Times::Once);
    let url = format!("{}/google/v1/userinfo", world.sandbox.url());
    #[expect(
        clippy::disallowed_methods,
        reason = "this client only ever talks to the sandbox it started"
    )]
    let mut answer = reqwest::Client::new().get(url).send().await.unwrap();
    let mut read = 0;
    while read < 4 * 1024 * 1024 {
        read += answer.chunk().await.unwrap().unwrap().len();
    }
    drop(answer);
    assert_eq!(world.get("/google/v1/userinfo", "x").await.status, 401);
}

#[tokio::test]
async fn a_kept_connection_is_found_closed() {
    let world = World::start().await;
    let url = url::Url::parse(&world.sandbox.url()).unwrap();
    let address = ("127.0.0.1", url.port().unwrap());
    let ask = b"GET /slack/api/auth.test HTTP/1.1\r\nhost: x\r\n\r\n";
    // How much comes back for a second request on the same connection.
    let second = async || {
        let mut line = TcpStream::connect(address).await.unwrap();
        let (mut buffer, mut read) = (vec![0; 4096], 0);
        for _ in 0..2 {
            line.write_all(ask).await.unwrap();
            read = line.read(&mut buffer).await.unwrap_or_default();
        }
        read
    };
    assert_ne!(second().await, 0);
    world
        .control
        .set_fault(Provider::Slack, Fault::KeepAliveClosed, Times::Once);
    let asked = world.control.requests(Provider::Slack).len();
    assert_eq!(second().await, 0);
    assert_eq!(world.control.requests(Provider::Slack).len(), asked + 1);
}

#[tokio::test]
async fn a_revocation_only_looks_like_one() {
    for (fault, status) in [
        (Fault::RevokeDoesNothing, 200),
        (Fault::RevokeUnknownToken, 400),
        (Fault::RevokeUnsupported, 400),
    ] {
        let (world, refresh) = linked().await;
        world.control.set_fault(GOOGLE, fault, Times::Once);
        let fields = [("token", refresh.as_str())];
        let answer = world.form("/google/revoke", &fields).await;
        assert_eq!(answer.status, status, "{fault}");
        assert_eq!(world.refresh(GOOGLE, &refresh).await.status, 200, "{fault}");
        assert_eq!(world.form("/google/revoke", &fields).await.status, 200);
        assert_eq!(world.refresh(GOOGLE, &refresh).await.status, 400);
    }
}

#[tokio::test]
async fn one_client_can_have_a_rotation_of_its_own() {
    let (world, first) = linked().await;
    world
        .control
        .set_rotation_for(GOOGLE, "app", Rotation::Strict);
    let second = text(&world.refresh(GOOGLE, &first).await.json(), "refresh_token");
    assert_ne!(first, second);
    assert_eq!(world.refresh(GOOGLE, &first).await.status, 400);
}
