//! What the server says about itself.

use axum::http::Method;

use crate::house::House;

#[tokio::test]
async fn the_discovery_documents_name_addresses_that_answer() {
    let house = House::open().await;
    let issuer = house.issuer();
    let document = house.get("/.well-known/openid-configuration", "").await;
    assert_eq!(document.status, 200);
    assert_eq!(document.header("content-type"), "application/json");
    assert_eq!(document.header("access-control-allow-origin"), "*");
    assert_eq!(document.text("issuer"), issuer);
    let other = house
        .get("/.well-known/oauth-authorization-server", "")
        .await;
    assert_eq!(other.json(), document.json());
    for (member, method) in [
        ("authorization_endpoint", Method::GET),
        ("jwks_uri", Method::GET),
        ("token_endpoint", Method::POST),
        ("revocation_endpoint", Method::POST),
        ("backchannel_authentication_endpoint", Method::POST),
        ("introspection_endpoint", Method::POST),
        ("pushed_authorization_request_endpoint", Method::POST),
        ("device_authorization_endpoint", Method::POST),
        ("registration_endpoint", Method::POST),
        ("userinfo_endpoint", Method::GET),
        ("end_session_endpoint", Method::GET),
    ] {
        let address = document.text(member);
        let path = format!("/{}", address.strip_prefix(issuer).unwrap());
        let answer = house.send(house.request(method, &path, "")).await;
        assert!(
            !matches!(answer.status, 404 | 405 | 500..),
            "{member}: {}",
            answer.status
        );
    }
}

#[tokio::test]
async fn each_resource_of_ours_describes_itself_and_nothing_else_does() {
    let house = House::open().await;
    for name in ["proxy", "me"] {
        let path = format!("/.well-known/oauth-protected-resource/{name}");
        let document = house.get(&path, "").await.json();
        assert_eq!(document["authorization_servers"][0], house.issuer());
        // RFC 9728 §3.1: where a client looks, from the resource's address.
        let resource = document["resource"].as_str().unwrap();
        let of = resource.strip_prefix(house.issuer()).unwrap();
        let path = format!("/.well-known/oauth-protected-resource/{of}");
        assert_eq!(house.get(&path, "").await.json(), document);
    }
    let unknown = "/.well-known/oauth-protected-resource/bank";
    assert_eq!(house.get(unknown, "").await.status, 404);
}

#[tokio::test]
async fn the_published_keys_are_public_keys_only() {
    let house = House::open().await;
    let keys = house.get("/.well-known/jwks.json", "").await.json();
    let keys = keys["keys"].as_array().unwrap();
    assert!(!keys.is_empty());
    for key in keys {
        assert!(
            ["RSA", "EC", "OKP"].contains(&key["kty"].as_str().unwrap()),
            "{key}"
        );
        for private in ["d", "p", "q", "dp", "dq", "qi", "k"] {
            assert!(key.get(private).is_none(), "{private}");
        }
    }
}

#[tokio::test]
async fn a_page_of_another_origin_may_ask_the_machines_endpoints_but_never_with_a_cookie() {
    let house = House::open().await;
    // The last two: what Auth0's and MCP's libraries send of their own accord.
    let sent = [
        "authorization",
        "dpop",
        "content-type",
        "prefer",
        "auth0-client",
        "mcp-protocol-version",
    ];
    for path in [
        "/oauth/token",
        "/oauth/par",
        "/oauth/revoke",
        "/userinfo",
        "/oidc/register",
        "/me/v1/connected-accounts/connect",
        "/me/v1/connected-accounts/accounts/acc_1",
        "/.well-known/jwks.json",
    ] {
        let preflight = house
            .request(axum::http::Method::OPTIONS, path, "")
            .header("origin", "https://spa.example")
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", sent.join(", "));
        let answer = house.send(preflight).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), "*", "{path}");
        let allowed = answer.header("access-control-allow-headers");
        for name in sent {
            assert!(
                allowed.split(',').any(|one| one.trim() == name),
                "{path}: {name} is not in {allowed}"
            );
        }
        assert_eq!(
            answer.header("access-control-allow-credentials"),
            "",
            "{path}"
        );
    }
}

#[tokio::test]
async fn every_type_of_details_has_its_schema_at_its_own_address() {
    let house = House::open().await;
    let issuer = house.issuer();
    let all = house.get("/authorization-details", "").await.json();
    let discovery = house.get("/.well-known/openid-configuration", "").await;
    let named = discovery.json()["authorization_details_types_supported"].clone();
    let types = all["types"].as_array().unwrap();
    assert!(types.len() >= 8);
    for entry in types {
        assert!(named.as_array().unwrap().contains(&entry["type"]));
        let address = entry["schema"].as_str().unwrap();
        let path = format!("/{}", address.strip_prefix(issuer).unwrap());
        let schema = house.get(&path, "").await;
        assert_eq!(schema.header("content-type"), "application/schema+json");
        let schema = schema.json();
        assert_eq!(schema["$id"], address);
        assert_eq!(schema["properties"]["type"]["const"], entry["type"]);
    }
    let unknown = house.get("/authorization-details/unheard_of", "").await;
    assert_eq!(unknown.status, 404);
}
