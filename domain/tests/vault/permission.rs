use domain::vault::permissions::{self, CallRule, Give, PermissionState};
use domain::vault::{AccessMode, Account, Error, Release, Released, release};
use sandbox::Provider;

use crate::stage::Stage;

pub async fn give(
    stage: &Stage,
    client: &str,
    account: &Account,
    mode: AccessMode,
) -> permissions::Permission {
    let give = Give {
        person_id: account.person_id.clone(),
        client_id: client.to_owned(),
        account_id: account.id.clone(),
        access_mode: mode,
        scopes: None,
        calls: None,
    };
    permissions::give(stage, give).await.unwrap()
}

async fn ask(stage: &Stage, client: &str) -> Result<Released, Error> {
    let ask = Release {
        client_id: client.to_owned(),
        person_id: stage.ada.id.clone(),
        connection: "google-oauth2".to_owned(),
        login_hint: None,
        scopes: None,
        on_behalf: None,
    };
    release(stage, ask).await
}

fn needs_permission(answer: Result<Released, Error>) -> bool {
    matches!(answer, Err(Error::PermissionRequired { .. }))
}

#[tokio::test]
async fn nothing_is_permitted_by_default() {
    let stage = Stage::new().await;
    let (client, _) = stage.bench.client("Agent").await;
    assert!(matches!(
        ask(&stage, &client.id).await,
        Err(Error::NoAccount { .. })
    ));
    let account = stage.link(Provider::Google).await;
    assert!(needs_permission(ask(&stage, &client.id).await));
    give(&stage, &client.id, &account, AccessMode::Call).await;
    assert!(
        needs_permission(ask(&stage, &client.id).await),
        "call is not release"
    );
    assert_eq!(stage.events("token.release_refused").await, 2);
    give(&stage, &client.id, &account, AccessMode::Release).await;
    let released = ask(&stage, &client.id).await.unwrap();
    assert_eq!(released.account_id, account.id);
    assert_eq!(released.expires_in_s, 3599);
    assert_eq!(released.scopes, account.scopes);
    assert_eq!(stage.events("token.released").await, 1);
    let (other, _) = stage.bench.client("Other").await;
    assert!(needs_permission(ask(&stage, &other.id).await));
}

#[tokio::test]
async fn a_permission_ends_at_once_when_it_is_paused_or_taken_back() {
    let stage = Stage::new().await;
    let (client, _) = stage.bench.client("Agent").await;
    let account = stage.link(Provider::Google).await;
    let permission = give(&stage, &client.id, &account, AccessMode::Release).await;
    let ada = stage.ada.id.clone();
    permissions::pause(&stage, &ada, &permission.id)
        .await
        .unwrap();
    assert!(needs_permission(ask(&stage, &client.id).await));
    permissions::resume(&stage, &ada, &permission.id)
        .await
        .unwrap();
    ask(&stage, &client.id).await.unwrap();
    let mallory = stage.bench.person("mallory@example.com").await;
    assert!(matches!(
        permissions::revoke(&stage, &mallory.id, &permission.id).await,
        Err(Error::NotFound)
    ));
    permissions::revoke(&stage, &ada, &permission.id)
        .await
        .unwrap();
    assert!(needs_permission(ask(&stage, &client.id).await));
    assert!(matches!(
        permissions::resume(&stage, &ada, &permission.id).await,
        Err(Error::NotFound)
    ));
    assert!(
        permissions::list_for_person(&stage, &ada)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn nobody_permits_on_somebody_elses_account() {
    let stage = Stage::new().await;
    let (client, _) = stage.bench.client("Agent").await;
    let account = stage.link(Provider::Google).await;
    let mallory = stage.bench.person("mallory@example.com").await;
    let give = Give {
        person_id: mallory.id,
        client_id: client.id.clone(),
        account_id: account.id,
        access_mode: AccessMode::Release,
        scopes: None,
        calls: None,
    };
    assert!(matches!(
        permissions::give(&stage, give).await,
        Err(Error::NotFound)
    ));
    assert!(needs_permission(ask(&stage, &client.id).await));
}

#[tokio::test]
async fn a_permission_written_into_the_database_counts_for_nothing() {
    let stage = Stage::new().await;
    let (client, _) = stage.bench.client("Agent").await;
    let account = stage.link(Provider::Google).await;
    give(&stage, &client.id, &account, AccessMode::Call).await;
    stage
        .sql("update permissions set access_mode = 'release'", vec![])
        .await;
    assert!(matches!(
        ask(&stage, &client.id).await,
        Err(Error::Storage(_))
    ));
}

#[tokio::test]
async fn a_narrowed_permission_releases_no_token() {
    let stage = Stage::new().await;
    let (client, _) = stage.bench.client("Agent").await;
    let account = stage.link(Provider::Google).await;
    let mut give = Give {
        person_id: account.person_id.clone(),
        client_id: client.id.clone(),
        account_id: account.id.clone(),
        access_mode: AccessMode::Release,
        scopes: Some(vec!["openid".to_owned()]),
        calls: None,
    };
    permissions::give(&stage, give.clone()).await.unwrap();
    assert!(
        needs_permission(ask(&stage, &client.id).await),
        "the token allows more than the permission"
    );
    give.scopes = Some(account.scopes.clone());
    give.calls = Some(vec![CallRule {
        methods: vec!["GET".to_owned()],
        path: "/calendar/*".to_owned(),
    }]);
    let permission = permissions::give(&stage, give).await.unwrap();
    assert!(
        needs_permission(ask(&stage, &client.id).await),
        "calls made with the token cannot be looked at"
    );
    assert_eq!(permission.state, PermissionState::Active);
    assert!(permission.allows_call("GET", "/calendar/v3/x"));
    assert!(!permission.allows_call("POST", "/calendar/v3/x"));
    assert!(!permission.allows_call("GET", "/gmail/v1/x"));
}

#[tokio::test]
async fn allowing_again_does_not_widen_what_the_person_narrowed() {
    let stage = Stage::new().await;
    let (client, _) = stage.bench.client("Agent").await;
    let account = stage.link(Provider::Google).await;
    let narrow = Give {
        person_id: account.person_id.clone(),
        client_id: client.id.clone(),
        account_id: account.id.clone(),
        access_mode: AccessMode::Call,
        scopes: Some(vec!["openid".to_owned()]),
        calls: Some(vec![CallRule {
            methods: vec!["GET".to_owned()],
            path: "/calendar/*".to_owned(),
        }]),
    };
    let narrow = permissions::give(&stage, narrow).await.unwrap();
    let again = give(&stage, &client.id, &account, AccessMode::Release).await;
    assert_eq!(again.access_mode, AccessMode::Release, "the page said so");
    assert_eq!(
        (&again.scopes, &again.calls),
        (&narrow.scopes, &narrow.calls)
    );
    assert!(needs_permission(ask(&stage, &client.id).await));

    // What was taken back is gone, its limits too.
    permissions::revoke(&stage, &account.person_id, &again.id)
        .await
        .unwrap();
    let anew = give(&stage, &client.id, &account, AccessMode::Release).await;
    assert_eq!((anew.scopes, anew.calls), (None, None));
    ask(&stage, &client.id).await.unwrap();
}
