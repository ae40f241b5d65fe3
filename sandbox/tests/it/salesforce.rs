use sandbox::{Provider, Rotation};
use serde_json::{Value, json};

use crate::support::{World, encoded, invalid_session, text};

const SALESFORCE: Provider = Provider::Salesforce;
const CLIENT: [(&str, &str); 2] = [("client_id", "app"), ("client_secret", "s3cret & more")];

async fn query(world: &World, token: &Value, soql: &str) -> crate::support::Answer {
    let instance = text(token, "instance_url");
    let path = format!(
        "{instance}/services/data/v62.0/query?{}",
        encoded(&[("q", soql)])
    );
    world.get(&path, &text(token, "access_token")).await
}

#[tokio::test]
async fn the_token_answer_says_where_and_who_and_never_until_when() {
    let world = World::start().await;
    let token = world.link(SALESFORCE, &[]).await;
    assert_eq!(token.get("expires_in"), None);
    assert_eq!(
        text(&token, "instance_url"),
        format!("{}/instance", world.sandbox.salesforce_url())
    );
    assert_eq!(
        (text(&token, "scope"), text(&token, "token_type")),
        ("api id refresh_token".into(), "Bearer".into())
    );
    assert_eq!(text(&token, "issued_at"), world.now().to_string());
    assert!(token["signature"].is_string());

    let access = text(&token, "access_token");
    let me = world.get(&text(&token, "id"), &access).await.json();
    assert_eq!(
        (text(&me, "email"), text(&me, "display_name")),
        ("ada@example.com".into(), "Ada Lovelace".into())
    );
    assert_eq!(me["id"], token["id"]);
    let info = world
        .get("/salesforce/services/oauth2/userinfo", &access)
        .await
        .json();
    assert_eq!(
        (&info["user_id"], &info["sub"]),
        (&me["user_id"], &token["id"])
    );
    let bad = world.get(&text(&token, "id"), "made-up").await;
    assert_eq!((bad.status, bad.text.as_str()), (403, "Bad_OAuth_Token"));
}

#[tokio::test]
async fn a_refresh_token_comes_only_with_its_scope() {
    let world = World::start().await;
    assert_eq!(
        world
            .link(SALESFORCE, &[("scope", "api")])
            .await
            .get("refresh_token"),
        None
    );
    assert!(
        world
            .link(SALESFORCE, &[("scope", "api offline_access")])
            .await["refresh_token"]
            .is_string()
    );
}

#[tokio::test]
async fn a_session_ends_unannounced_and_is_renewed_by_the_same_refresh_token() {
    let world = World::start().await;
    let token = world.link(SALESFORCE, &[]).await;
    let soql = "SELECT Id FROM Opportunity";
    world.control.expire_access_tokens(SALESFORCE);
    let refused = query(&world, &token, soql).await;
    assert_eq!((refused.status, refused.json()), (401, invalid_session()));
    let renewed = world
        .refresh_with_basic(SALESFORCE, &text(&token, "refresh_token"))
        .await
        .json();
    assert_eq!(renewed.get("refresh_token"), None);
    assert_eq!(query(&world, &renewed, soql).await.status, 200);
    world.wind_seconds(7200);
    assert_eq!(query(&world, &renewed, soql).await.status, 401);
}

#[tokio::test]
async fn rotation_is_optional() {
    let world = World::start().await;
    world.control.set_rotation(SALESFORCE, Rotation::Strict);
    let old = text(&world.link(SALESFORCE, &[]).await, "refresh_token");
    let new = text(
        &world.refresh(SALESFORCE, &old).await.json(),
        "refresh_token",
    );
    assert_ne!(old, new);
    let reused = world.refresh(SALESFORCE, &old).await;
    assert_eq!(
        (reused.status, text(&reused.json(), "error")),
        (400, "invalid_grant".into())
    );
    assert_eq!(world.refresh(SALESFORCE, &new).await.status, 400);
}

#[tokio::test]
async fn open_opportunities_are_queried() {
    let world = World::start().await;
    let token = world.link(SALESFORCE, &[]).await;
    let soql = "SELECT Id, Name, StageName, Amount, CloseDate FROM Opportunity WHERE IsClosed = false ORDER BY Amount DESC LIMIT 2";
    let answer = query(&world, &token, soql).await.json();
    assert_eq!(
        (&answer["totalSize"], &answer["done"]),
        (&json!(2), &json!(true))
    );
    let first = &answer["records"][0];
    assert_eq!(
        (&first["Amount"], &first["StageName"]),
        (&json!(96_000.0), &json!("Negotiation/Review"))
    );
    assert_eq!(
        (&first["CloseDate"], &first["attributes"]["type"]),
        (&json!("2026-12-06"), &json!("Opportunity"))
    );
    assert_eq!(answer["records"][1]["Name"], "Contoso renewal");

    let soql = "select name from opportunity where amount > 10000 and name like '%s%' and closedate >= 2026-12-01";
    let answer = query(&world, &token, soql).await.json();
    assert_eq!(answer["records"].as_array().unwrap().len(), 3, "{answer}");
}

#[tokio::test]
async fn a_query_that_is_not_understood_is_malformed() {
    let world = World::start().await;
    let token = world.link(SALESFORCE, &[]).await;
    let wrong = [
        ("DROP TABLE Opportunity", "MALFORMED_QUERY"),
        ("SELECT Id FROM Opportunity WHERE", "MALFORMED_QUERY"),
        (
            "SELECT Id FROM Opportunity WHERE Name = 'x",
            "MALFORMED_QUERY",
        ),
        ("SELECT Id FROM Opportunity LIMIT -1", "MALFORMED_QUERY"),
        ("SELECT Id FROM Opportunity; DELETE", "MALFORMED_QUERY"),
        ("", "MALFORMED_QUERY"),
        ("SELECT Secret FROM Opportunity", "INVALID_FIELD"),
        ("SELECT Id FROM Account", "INVALID_TYPE"),
    ];
    for (soql, code) in wrong {
        let answer = query(&world, &token, soql).await;
        assert_eq!(
            (answer.status, &answer.json()[0]["errorCode"]),
            (400, &json!(code)),
            "{soql}"
        );
    }
}

#[tokio::test]
async fn an_opportunity_is_read_and_changed() {
    let world = World::start().await;
    let token = world.link(SALESFORCE, &[]).await;
    let access = text(&token, "access_token");
    let path = format!(
        "{}/services/data/v62.0/sobjects/Opportunity/006000000000001AAA",
        text(&token, "instance_url")
    );
    let bearer = format!("Bearer {access}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
    ];
    let patch = async |body: Value| world.send("PATCH", &path, &headers, body.to_string()).await;

    assert_eq!(world.get(&path, &access).await.json()["IsClosed"], false);
    assert_eq!(
        patch(json!({ "StageName": "Closed Won", "Amount": 99_000 }))
            .await
            .status,
        204
    );
    let changed = world.get(&path.replace("AAA", ""), &access).await.json();
    assert_eq!(
        (&changed["IsWon"], &changed["Amount"]),
        (&json!(true), &json!(99_000))
    );

    let unknown = patch(json!({ "Colour": "red" })).await;
    assert_eq!(
        (unknown.status, &unknown.json()[0]["errorCode"]),
        (400, &json!("INVALID_FIELD"))
    );
    assert_eq!(patch(json!({ "CloseDate": "tomorrow" })).await.status, 400);
    let missing = world.get(&path.replace("001AAA", "777AAA"), &access).await;
    assert_eq!(
        (missing.status, &missing.json()[0]["errorCode"]),
        (404, &json!("NOT_FOUND"))
    );
}

#[tokio::test]
async fn tokens_are_introspected_by_their_client_and_revoked() {
    let world = World::start().await;
    let token = world.link(SALESFORCE, &[]).await;
    let (access, refresh) = (text(&token, "access_token"), text(&token, "refresh_token"));
    let introspect = async |token: &str| {
        let fields = [CLIENT[0], CLIENT[1], ("token", token)];
        world
            .form("/salesforce/services/oauth2/introspect", &fields)
            .await
            .json()
    };
    let described = introspect(&access).await;
    assert_eq!(
        (&described["active"], &described["username"]),
        (&json!(true), &json!("ada@example.com"))
    );
    assert_eq!(described["exp"], world.now() / 1000 + 7200);
    assert_eq!(introspect(&refresh).await["token_type"], "refresh_token");
    assert_eq!(introspect("made-up").await, json!({ "active": false }));

    let revoke = async |token: &str| {
        world
            .form("/salesforce/services/oauth2/revoke", &[("token", token)])
            .await
    };
    assert_eq!(revoke(&access).await.status, 200);
    assert_eq!(introspect(&access).await["active"], false);
    assert_eq!(introspect(&refresh).await["active"], true);
    let second = world.refresh(SALESFORCE, &refresh).await.json();
    assert_eq!(revoke(&refresh).await.status, 200);
    assert_eq!(
        introspect(&text(&second, "access_token")).await["active"],
        false
    );
    assert_eq!(world.refresh(SALESFORCE, &refresh).await.status, 400);
    assert_eq!(revoke(&refresh).await.status, 400);
}

#[tokio::test]
async fn a_session_without_the_api_scope_reads_nothing() {
    let world = World::start().await;
    let token = world.link(SALESFORCE, &[("scope", "id")]).await;
    let refused = query(&world, &token, "SELECT Id FROM Opportunity").await;
    assert_eq!(
        (refused.status, &refused.json()[0]["errorCode"]),
        (401, &json!("INVALID_SESSION_ID"))
    );
}
