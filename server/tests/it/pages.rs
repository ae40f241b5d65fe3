//! Pages: there for whom they are for.

use domain::adoption;

use crate::backchannel::{ask, pending};
use crate::house::{GOOGLE, House};

const ADMIN: [&str; 4] = [
    "/admin/people",
    "/admin/clients",
    "/admin/connections",
    "/admin/audit",
];

#[tokio::test]
async fn every_page_is_there_for_the_person_and_nobody_is_sent_to_sign_in() {
    let house = House::open().await;
    let _sandbox = house.sandbox().await;
    let agent = house.agent().await;
    let cookie = house.signed_in(&house.ada).await;
    let account = house.link(GOOGLE, &cookie, &agent, "call").await;
    ask(
        &house,
        &agent,
        r#"[{"type":"deployment","service":"billing","version":"2.1"}]"#,
    )
    .await;
    let pages = [
        "/".to_owned(),
        "/accounts".to_owned(),
        format!("/accounts/{account}"),
        format!("/accounts/link/{GOOGLE}"),
        "/approvals".to_owned(),
        format!("/approve/{}", pending(&house).await),
        "/agent".to_owned(),
        "/agent/runs".to_owned(),
        "/activity".to_owned(),
        "/settings".to_owned(),
    ];
    for page in &pages {
        let answer = house.get(page, &cookie).await;
        assert_eq!(answer.status, 200, "{page}");
        assert!(answer.header("content-type").starts_with("text/html"));
        assert_eq!(answer.header("cache-control"), "no-store");
        let nobody = house.get(page, "").await;
        assert!((302..=303).contains(&nobody.status), "{page}");
        assert!(nobody.location().starts_with("/sign-in"), "{page}");
    }
    for page in ["/no/such/page", "/accounts/acc_none", "/approve/none"] {
        assert_eq!(house.get(page, &cookie).await.status, 404, "{page}");
    }
}

#[tokio::test]
async fn admin_pages_are_for_admins_only() {
    let house = House::open().await;
    let cookie = house.signed_in(&house.ada).await;
    let admin = house.bench.admin("root@example.com").await;
    let admin = house.signed_in(&admin).await;
    for page in ADMIN {
        assert_eq!(house.get(page, &admin).await.status, 200, "{page}");
        let refused = house.get(page, &cookie).await;
        assert_eq!(refused.status, 403, "{page}");
        assert!(!refused.body.contains("root@example.com"));
        assert!(house.get(page, "").await.location().starts_with("/sign-in"));
    }
    let export = "/admin/audit/export.jsonl";
    assert_eq!(house.get(export, &admin).await.status, 200);
    assert_eq!(house.get(export, &cookie).await.status, 403);
}

#[tokio::test]
async fn admins_are_told_on_every_page_that_the_database_is_a_copy() {
    let house = House::open().await;
    let ada = house.signed_in(&house.ada).await;
    let admin = house.bench.admin("root@example.com").await;
    let admin = house.signed_in(&admin).await;
    let told = async |cookie: &str| {
        let mut told = Vec::new();
        for page in ["/", "/accounts", "/settings"] {
            let answer = house.get(page, cookie).await;
            assert_eq!(answer.status, 200, "{page}");
            told.push(answer.body.contains("This database is a copy"));
        }
        told
    };
    assert_eq!(told(&admin).await, [false; 3]);
    adoption::mark_restored(&house.bench.engine).await.unwrap();
    assert_eq!(told(&admin).await, [true; 3]);
    assert_eq!(told(&ada).await, [false; 3], "who can do nothing about it");
    adoption::adopt(&house.bench.engine, "the test")
        .await
        .unwrap();
    assert_eq!(told(&admin).await, [false; 3]);
}
