//! What every request passes.

use axum::http::{Method, header};

use crate::house::{FORM, House};

#[tokio::test]
async fn it_is_alive_and_ready_and_says_so_to_probes_by_any_name() {
    let house = House::open().await;
    for (path, body) in [("/healthz", "ok\n"), ("/readyz", "ready\n")] {
        let probe = house
            .request(Method::GET, path, "")
            .header(header::HOST, "10.0.0.7:8080");
        let answer = house.send(probe).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, body));
    }
}

#[tokio::test]
async fn a_foreign_host_name_is_refused() {
    let house = House::open().await;
    for path in ["/sign-in", "/.well-known/jwks.json", "/proxy/x/y"] {
        let rebound = house
            .request(Method::GET, path, "")
            .header(header::HOST, "evil.example");
        assert_eq!(house.send(rebound).await.status, 421, "{path}");
    }
}

#[tokio::test]
async fn a_nul_in_a_path_is_refused_at_the_door() {
    let house = House::open().await;
    let cookie = house.signed_in(&house.ada).await;
    for path in ["/approve/%00", "/accounts/a%00b", "/proxy/x%00/y"] {
        let request = house
            .request(Method::GET, path, "")
            .header(header::COOKIE, &cookie);
        assert_eq!(house.send(request).await.status, 400, "{path}");
    }
}

#[tokio::test]
async fn a_post_from_another_site_changes_nothing() {
    let house = House::open().await;
    let cookie = house.signed_in(&house.ada).await;
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("origin", "http://localhost:1"),
    ] {
        for path in [
            "/sign-out",
            "/sign-in",
            "/authorize/decision",
            "/api/anything",
        ] {
            let forged = house
                .request(Method::POST, path, &cookie)
                .header(header::CONTENT_TYPE, FORM)
                .header(name, value);
            let answer = house.send(forged).await;
            assert_eq!(answer.status, 403, "{path} with {name}: {value}");
            assert!(answer.headers.get(header::SET_COOKIE).is_none());
        }
    }
    assert_eq!(house.get("/", &cookie).await.status, 200, "still signed in");
    let ours = house
        .request(Method::POST, "/sign-out", &cookie)
        .header("origin", house.issuer().trim_end_matches('/'));
    assert_eq!(house.send(ours).await.location(), "/sign-in");
    assert_eq!(house.get("/", &cookie).await.status, 303, "signed out");
}

#[tokio::test]
async fn every_answer_has_the_headers_that_keep_a_browser_in_check() {
    let house = House::open().await;
    let cookie = house.signed_in(&house.ada).await;
    for path in [
        "/",
        "/sign-in",
        "/healthz",
        "/no/such/page",
        "/.well-known/jwks.json",
        "/pkg/missing.js",
        "/proxy/a/b",
    ] {
        let answer = house.get(path, &cookie).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert_eq!(answer.header("x-frame-options"), "DENY");
        assert_eq!(answer.header("x-request-id").len(), 16);
        let policy = answer.header("content-security-policy");
        assert!(
            policy.contains("frame-ancestors 'none'"),
            "{path}: {policy}"
        );
        assert!(policy.contains("base-uri 'none'"), "{path}: {policy}");
        for loose in ["unsafe-inline", "'unsafe-eval'", "*"] {
            assert!(!policy.contains(loose), "{path}: {policy}");
        }
    }
}

#[tokio::test]
async fn a_page_and_its_policy_agree_on_the_nonce_and_no_two_answers_share_it() {
    let house = House::open().await;
    let mut seen = Vec::new();
    for _ in 0..2 {
        let page = house.get("/sign-in", "").await;
        let policy = page.header("content-security-policy");
        let (_, rest) = policy.split_once("'nonce-").unwrap();
        let nonce = rest.split('\'').next().unwrap().to_owned();
        for script in page.body.split("<script").skip(1) {
            let tag = script.split('>').next().unwrap();
            assert!(tag.contains(&nonce), "<script{tag}>");
        }
        assert!(!page.body.contains(" onclick=") && !page.body.contains(" style=\""));
        seen.push(nonce);
    }
    assert_ne!(seen[0], seen[1]);
}

#[tokio::test]
async fn outside_the_demo_no_address_plays_the_person() {
    let house = House::open().await;
    for path in [
        "/demo",
        "/demo//decide?token=x&type=allow",
        "/demo/secret/decide?token=x&type=allow",
    ] {
        let answer = house.post(path, "", &[]).await;
        assert!(
            matches!(answer.status, 404 | 405),
            "{path}: {}",
            answer.status
        );
    }
}

#[tokio::test]
async fn headers_are_bounded_in_number_and_length() {
    let house = House::open().await;
    for path in ["/oauth/token", "/bc-authorize", "/sign-in", "/proxy/x/y"] {
        let mut many = house.request(Method::POST, path, "");
        for number in 0..200 {
            many = many.header(format!("x-{number}"), "x");
        }
        assert_eq!(house.send(many).await.status, 431, "{path}");
        let long = house
            .request(Method::POST, path, "")
            .header("x-long", "x".repeat(1024 * 1024));
        // The server may have hung up before all of it was sent.
        if let Ok(answer) = long.send().await {
            assert_eq!(answer.status(), 431, "{path}");
        }
    }
}
