//! Linking and unlinking.

use domain::secret::Secret;
use domain::vault::Overrides;
use domain::vault::connections::{self, NewConnection, Source};

use crate::house::{GOOGLE, House, SLACK};

const ACCOUNTS: &str = "select count(*) as n from accounts where state <> 'unlinked'";

#[tokio::test]
async fn a_forged_or_foreign_link_state_links_nothing() {
    let house = House::open().await;
    let _sandbox = house.sandbox().await;
    let cookie = house.signed_in(&house.ada).await;
    for query in [
        "",
        "?code=x",
        "?state=x",
        "?code=x&state=forged",
        "?error=access_denied&state=forged",
        "?state=a&state=b&code=x",
        "?state=%ff&code=x",
    ] {
        let path = format!("/link/callback{query}");
        let answer = house.get(&path, &cookie).await;
        assert_eq!(answer.status, 303, "{query}");
        assert!(answer.location().starts_with("/accounts?link=invalid"));
    }
    let back = house.consented(GOOGLE, &cookie, &[]).await;
    // Somebody else, and Ada in another session, come back with Ada's state.
    let eve = house.bench.person("eve@example.com").await;
    for other in [
        house.signed_in(&eve).await,
        house.signed_in(&house.ada).await,
    ] {
        let answer = house.get(&back, &other).await;
        assert!(answer.location().starts_with("/accounts?link=invalid"));
    }
    assert!(
        house
            .get(&back, "")
            .await
            .location()
            .starts_with("/sign-in?return_to=")
    );
    assert_eq!(house.count(ACCOUNTS).await, 0);
}

#[tokio::test]
async fn another_persons_account_is_neither_seen_nor_changed() {
    let house = House::open().await;
    let _sandbox = house.sandbox().await;
    let agent = house.agent().await;
    let cookie = house.signed_in(&house.ada).await;
    let account = house.link(GOOGLE, &cookie, &agent, "call").await;
    let page = format!("/accounts/{account}");
    let seen = house.get(&page, &cookie).await;
    assert_eq!(seen.status, 200);
    let rest = seen.body.split_once("/permissions/").unwrap().1;
    let permission = rest.split('"').next().unwrap();
    let eve = house.bench.person("eve@example.com").await;
    let eve = house.signed_in(&eve).await;
    assert_eq!(house.get(&page, &eve).await.status, 404);
    for path in [
        format!("{page}/unlink"),
        format!("{page}/default"),
        format!("/permissions/{permission}"),
    ] {
        let answer = house.post(&path, &eve, &[("action", "revoke")]).await;
        assert_eq!(answer.status, 404, "{path}");
    }
    assert_eq!(house.count(ACCOUNTS).await, 1);
    let active = "select count(*) as n from permissions where state = 'active'";
    assert_eq!(house.count(active).await, 1);
    let unlinked = house.post(&format!("{page}/unlink"), &cookie, &[]).await;
    assert!(unlinked.location().starts_with("/accounts?unlinked=1"));
    assert_eq!(house.count(ACCOUNTS).await, 0);
}

#[tokio::test]
async fn a_link_page_may_lead_to_its_provider_and_where_that_sends_on() {
    let house = House::open().await;
    let _sandbox = house.sandbox().await;
    let cookie = house.signed_in(&house.ada).await;
    let new = NewConnection {
        id: "real-slack".to_owned(),
        provider: "slack".to_owned(),
        client_id: "attorn".to_owned(),
        client_secret: Secret::from("attorn's secret"),
        scopes: None,
        overrides: Overrides::default(),
        source: Source::Config,
    };
    connections::put(&house.bench, new).await.unwrap();
    let page = house.get("/accounts/link/real-slack", &cookie).await;
    let policy = page.header("content-security-policy");
    assert!(
        policy.contains("form-action 'self' https://slack.com https://*.slack.com;"),
        "{policy}"
    );
    let page = house.get(&format!("/accounts/link/{SLACK}"), &cookie).await;
    let policy = page.header("content-security-policy");
    assert!(
        policy.contains("form-action 'self' http://127.0.0.1:"),
        "{policy}"
    );
    assert!(!policy.contains("slack.com"), "{policy}");
}

#[tokio::test]
async fn pausing_says_until_when_the_agent_may_still_hold_a_token() {
    let house = House::open().await;
    let _sandbox = house.sandbox().await;
    let agent = house.agent().await;
    let cookie = house.signed_in(&house.ada).await;
    for (mode, says) in [("call", false), ("release", true)] {
        let account = house.link(GOOGLE, &cookie, &agent, mode).await;
        let page = format!("/accounts/{account}");
        let seen = house.get(&page, &cookie).await;
        let rest = seen.body.split_once("/permissions/").unwrap().1;
        let permission = format!("/permissions/{}", rest.split('"').next().unwrap());
        let fields = |action| [("action", action), ("return_to", page.as_str())];
        for action in ["pause", "resume", "revoke"] {
            let done = house.post(&permission, &cookie, &fields(action)).await;
            let expected = says && action != "resume";
            let to = done.location().to_owned();
            assert_eq!(
                to.contains("?held_until=1798"),
                expected,
                "{mode} {action}: {to}"
            );
            let page = house.get(&to, &cookie).await.body;
            let words = page.contains("may still be in its hands, until");
            assert_eq!(words, expected, "{mode} {action}");
        }
    }
}
