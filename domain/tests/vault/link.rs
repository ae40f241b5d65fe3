use domain::secret::Secret;
use domain::vault::link::{self, Error};
use domain::vault::{AccessMode, AccountState, TokenKind, accounts, fresh_token, permissions};
use sandbox::{Fault, Provider, Target, Times};

use crate::stage::Stage;

#[tokio::test]
async fn a_linked_account_shows_who_it_is_and_what_was_granted() {
    let stage = Stage::new().await;
    for (provider, label, scope) in [
        (Provider::Slack, "ada in Acme", "chat:write"),
        (
            Provider::Google,
            "ada@example.com",
            "https://www.googleapis.com/auth/calendar.events",
        ),
        (Provider::Salesforce, "ada@example.com", "api"),
    ] {
        let account = stage.link(provider).await;
        assert!(account.label.starts_with(label), "{}", account.label);
        assert!(
            account.scopes.iter().any(|granted| granted == scope),
            "{:?}",
            account.scopes
        );
        assert_eq!(account.state, AccountState::Linked);
        assert!(account.is_default);
        let token = fresh_token(&stage, &account.id, TokenKind::User)
            .await
            .unwrap();
        assert!(
            stage
                .control
                .issued_tokens()
                .iter()
                .any(|issued| &issued.token == token.access.expose()
                    && issued.email == "ada@example.com")
        );
    }
    assert_eq!(
        accounts::list(&stage, &stage.ada.id).await.unwrap().len(),
        3
    );
    assert_eq!(stage.events("account.linked").await, 3);
}

#[tokio::test]
async fn a_state_serves_once_and_only_in_its_own_session() {
    let stage = Stage::new().await;
    let page = stage.start(Provider::Slack, None).await;
    let good = stage.click(&page, "ada@example.com").await;
    let refused = |finish| {
        let stage = &stage;
        async move { matches!(link::finish(stage, finish).await, Err(Error::UnknownState)) }
    };
    let mut forged = good.clone();
    forged.state.push('x');
    assert!(refused(forged).await);
    let mut foreign = good.clone();
    foreign.session_id = "another session".to_owned();
    assert!(refused(foreign).await);
    let mallory = stage.bench.person("mallory@example.com").await;
    let mut planted = good.clone();
    planted.person_id = mallory.id;
    assert!(refused(planted).await);
    // None of these used it up.
    link::finish(&stage, good.clone()).await.unwrap();
    assert!(refused(good).await);
    let page = stage.start(Provider::Slack, None).await;
    let late = stage.click(&page, "ada@example.com").await;
    stage.pass(16 * 60);
    assert!(refused(late).await);
    assert_eq!(link::sweep(&stage).await.unwrap(), 2);
}

#[tokio::test]
async fn a_refusal_at_the_provider_links_nothing() {
    let stage = Stage::new().await;
    let refused = stage.try_link(Provider::Google, "nobody").await;
    assert!(matches!(refused, Err(Error::Refused { code, .. }) if code == "access_denied"));
    assert!(
        accounts::list(&stage, &stage.ada.id)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(stage.events("account.link_failed").await, 1);
}

#[tokio::test]
async fn a_wrong_code_links_nothing_and_uses_the_attempt_up() {
    let stage = Stage::new().await;
    for provider in Provider::ALL {
        let page = stage.start(provider, None).await;
        let mut finish = stage.click(&page, "ada@example.com").await;
        finish.answer = Ok(Secret::from("made-up"));
        assert!(
            matches!(
                link::finish(&stage, finish.clone()).await,
                Err(Error::Failed { .. })
            ),
            "{provider}"
        );
        assert!(
            matches!(link::finish(&stage, finish).await, Err(Error::UnknownState)),
            "{provider}"
        );
    }
    assert!(
        accounts::list(&stage, &stage.ada.id)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn bad_answers_of_a_provider_link_nothing() {
    let stage = Stage::new().await;
    for provider in Provider::ALL {
        for fault in [
            Fault::ServerError,
            Fault::HtmlPage,
            Fault::TruncatedJson,
            Fault::EmptyBody,
            Fault::RedirectOnToken,
            Fault::HugeBody { mib: 1 },
            Fault::RotatedClientSecret,
        ] {
            stage
                .control
                .set_fault_on(provider, Target::Code, fault, Times::Once);
            let failed = stage.try_link(provider, "ada@example.com").await;
            assert!(
                matches!(failed, Err(Error::Failed { .. })),
                "{provider} {fault}"
            );
        }
    }
    assert!(
        accounts::list(&stage, &stage.ada.id)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(stage.control.followed_redirects().is_empty());
}

#[tokio::test]
async fn what_was_granted_counts_and_not_what_was_asked() {
    let stage = Stage::new().await;
    stage
        .control
        .set_fault(Provider::Slack, Fault::SubsetOfScopes, Times::Once);
    let account = stage.link(Provider::Slack).await;
    assert_eq!(
        account.scopes,
        ["channels:read", "channels:history", "chat:write"]
    );
    stage
        .control
        .set_fault(Provider::Google, Fault::CommaScopes, Times::Once);
    let account = stage.link(Provider::Google).await;
    assert!(
        account.scopes.iter().any(|scope| scope == "openid"),
        "{:?}",
        account.scopes
    );
}

#[tokio::test]
async fn linking_again_keeps_the_account_and_its_permissions() {
    let stage = Stage::new().await;
    let (client, _) = stage.bench.client("Agent").await;
    let page = stage
        .start(
            Provider::Google,
            Some((client.id.clone(), AccessMode::Release)),
        )
        .await;
    let finish = stage.click(&page, "ada@example.com").await;
    let first = link::finish(&stage, finish).await.unwrap();
    assert!(!first.again);
    let second = stage
        .try_link(Provider::Google, "ada@example.com")
        .await
        .unwrap();
    assert!(second.again);
    assert_eq!(first.account.id, second.account.id);
    let permission = permissions::find(&stage, &client.id, &first.account.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(permission.access_mode, AccessMode::Release);
    assert_eq!(stage.events("account.relinked").await, 1);
}

#[tokio::test]
async fn another_identity_becomes_a_second_account() {
    let stage = Stage::new().await;
    let ada = stage.link(Provider::Google).await;
    let grace = stage
        .try_link(Provider::Google, "grace@example.com")
        .await
        .unwrap()
        .account;
    assert_ne!(ada.id, grace.id);
    assert!(ada.is_default && !grace.is_default);
    let pick = |hint| accounts::pick(&stage, &stage.ada.id, "google-oauth2", hint);
    assert_eq!(pick(None).await.unwrap().id, ada.id);
    assert_eq!(pick(Some("GRACE@example.com")).await.unwrap().id, grace.id);
    assert!(matches!(
        pick(Some("nobody@example.com")).await,
        Err(domain::vault::Error::NoAccount { .. })
    ));
    accounts::make_default(&stage, &stage.ada.id, &grace.id)
        .await
        .unwrap();
    assert_eq!(pick(None).await.unwrap().id, grace.id);
}

#[tokio::test]
async fn an_identity_that_contradicts_the_token_answer_is_refused() {
    let stage = Stage::new().await;
    stage.control.set_fault_on(
        Provider::Slack,
        Target::Identity,
        Fault::ChangedIdentity,
        Times::Once,
    );
    let failed = stage.try_link(Provider::Slack, "ada@example.com").await;
    assert!(matches!(failed, Err(Error::Failed { code, .. }) if code == "identity_mismatch"));
}

#[tokio::test]
async fn a_wrong_client_secret_is_the_connections_fault_and_heals() {
    let stage = Stage::new().await;
    stage.control.set_fault(
        Provider::Salesforce,
        Fault::RotatedClientSecret,
        Times::Once,
    );
    assert!(
        stage
            .try_link(Provider::Salesforce, "ada@example.com")
            .await
            .is_err()
    );
    let state = async || {
        let connection = domain::vault::connections::get(&stage, "salesforce")
            .await
            .unwrap()
            .unwrap();
        connection.state.word()
    };
    assert_eq!(state().await, "invalid_client");
    let account = stage.link(Provider::Salesforce).await;
    stage.pass(3 * 3600);
    fresh_token(&stage, &account.id, TokenKind::User)
        .await
        .unwrap();
    assert_eq!(state().await, "active");
}
