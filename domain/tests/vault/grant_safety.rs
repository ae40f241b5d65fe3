//! Promise 1: a grant is never lost.

use std::sync::Arc;

use domain::vault::{Account, Error, Reason, TokenKind, fresh_token};
use sandbox::{Fault, Provider, Rotation, Target, Times};

use crate::stage::Stage;

async fn fresh(stage: &Stage, account: &Account) -> Result<String, Error> {
    Ok(fresh_token(stage, &account.id, TokenKind::User)
        .await?
        .access
        .expose()
        .clone())
}

async fn epoch(stage: &Stage, account: &Account) -> i64 {
    stage
        .row(
            "select epoch from provider_grants where account_id = $1",
            vec![(&account.id).into()],
        )
        .await
        .unwrap()
        .get("epoch")
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_callers_of_an_expired_token_reach_the_provider_once() {
    for rotation in [Rotation::Keeps, Rotation::Strict] {
        let stage = Arc::new(Stage::new().await);
        stage.control.set_rotation(Provider::Google, rotation);
        let account = stage.link(Provider::Google).await;
        stage.pass(3600);
        let gate = stage.control.gate_on(Provider::Google, Target::Refresh);
        let callers: Vec<_> = (0..100)
            .map(|_| {
                let (stage, account) = (stage.clone(), account.clone());
                tokio::spawn(async move { fresh(&stage, &account).await })
            })
            .collect();
        gate.arrived(1).await;
        gate.release();
        let mut tokens = Vec::new();
        for caller in callers {
            tokens.push(caller.await.unwrap().unwrap());
        }
        tokens.dedup();
        assert_eq!(tokens.len(), 1);
        assert_eq!(stage.refreshes(Provider::Google), 1);
        assert_eq!(stage.events("grant.refreshed").await, 1);
    }
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_stop_the_refresh() {
    let stage = Arc::new(Stage::new().await);
    stage
        .control
        .set_rotation(Provider::Google, Rotation::Strict);
    let account = stage.link(Provider::Google).await;
    stage.pass(3600);
    let gate = stage.control.gate_on(Provider::Google, Target::Refresh);
    let (with, of) = (stage.clone(), account.clone());
    let caller = tokio::spawn(async move { fresh(&with, &of).await });
    gate.arrived(1).await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    gate.release();
    fresh(&stage, &account).await.unwrap();
    assert_eq!(stage.refreshes(Provider::Google), 1);
}

#[tokio::test]
async fn an_answer_survives_a_failed_compare_and_swap() {
    let stage = Arc::new(Stage::new().await);
    stage
        .control
        .set_rotation(Provider::Google, Rotation::Strict);
    let account = stage.link(Provider::Google).await;
    stage.pass(3600);
    let gate = stage.control.gate_on(Provider::Google, Target::Refresh);
    let (with, of) = (stage.clone(), account.clone());
    let caller = tokio::spawn(async move { fresh(&with, &of).await });
    gate.arrived(1).await;
    // Somebody moves the grant while the provider answers.
    stage
        .sql(
            "update provider_grants set epoch = epoch + 5 where account_id = $1",
            vec![(&account.id).into()],
        )
        .await;
    gate.release();
    caller.await.unwrap().unwrap();
    assert_eq!(
        stage.refreshes(Provider::Google),
        1,
        "the stored answer was chosen, the provider not asked again"
    );
    // And the successor is the one in use: the next refresh works.
    stage.pass(3600);
    fresh(&stage, &account).await.unwrap();
    assert_eq!(stage.refreshes(Provider::Google), 2);
}

#[tokio::test]
async fn a_stored_answer_is_chosen_after_a_crash_without_asking_again() {
    let stage = Stage::new().await;
    stage
        .control
        .set_rotation(Provider::Google, Rotation::Strict);
    let account = stage.link(Provider::Google).await;
    let before = stage
        .row(
            "select epoch, access_sealed, refresh_sealed, refresh_hash, access_expires_at from provider_grants where account_id = $1",
            vec![(&account.id).into()],
        )
        .await
        .unwrap();
    stage.pass(3600);
    let token = fresh(&stage, &account).await.unwrap();
    // Back to the moment between candidate and compare-and-swap: the grant as
    // it was, the intent open, the lease held by somebody who is gone.
    stage
        .sql(
            "update provider_grants set epoch = $2, access_sealed = $3, refresh_sealed = $4, refresh_hash = $5, \
             access_expires_at = $6, state = 'leased' where account_id = $1",
            vec![
                (&account.id).into(),
                before.get::<i64>("epoch").unwrap().into(),
                before.get::<Vec<u8>>("access_sealed").unwrap().into(),
                before.get::<Vec<u8>>("refresh_sealed").unwrap().into(),
                before.get::<Vec<u8>>("refresh_hash").unwrap().into(),
                before.get::<i64>("access_expires_at").unwrap().into(),
            ],
        )
        .await;
    stage
        .sql("update refresh_candidates set chosen_at = null", vec![])
        .await;
    stage
        .sql(
            "update refresh_intents set outcome = null, finished_at = null",
            vec![],
        )
        .await;
    stage
        .sql("update refresh_leases set released = false", vec![])
        .await;
    let Stage {
        bench,
        sandbox,
        control,
        ada,
    } = stage;
    let bench = bench.restart().await;
    let stage = Stage {
        bench,
        sandbox,
        control,
        ada,
    };
    assert_eq!(fresh(&stage, &account).await.unwrap(), token);
    assert_eq!(stage.refreshes(Provider::Google), 1);
    // The dead holder's lease went with it: the next refresh does not wait.
    stage.pass(3600);
    fresh(&stage, &account).await.unwrap();
}

#[tokio::test]
async fn a_dead_holders_lease_is_taken_over_only_after_its_call_is_surely_over() {
    let stage = Arc::new(Stage::new().await);
    let account = stage.link(Provider::Google).await;
    stage.pass(3600);
    stage
        .sql(
            "insert into refresh_leases (lock_key, holder, counter, deadline, released) \
             select lock_key, 'dead', 7, 0, false from provider_grants where account_id = $1",
            vec![(&account.id).into()],
        )
        .await;
    stage
        .sql(
            "insert into refresh_intents (id, account_id, token_kind, epoch, parent_hash, holder, started_at) \
             select 'int_dead', account_id, 'user', epoch, refresh_hash, 'dead', 0 from provider_grants where account_id = $1",
            vec![(&account.id).into()],
        )
        .await;
    let (with, of) = (stage.clone(), account.clone());
    let caller = tokio::spawn(async move { fresh(&with, &of).await });
    // 20 s for the call, 5 to send it, 10 of margin: not a second earlier. The
    // clock only moves when we wind it, so there is no race to lose.
    for _ in 0..34 {
        stage.pass(1);
        stage.breathe().await;
        assert_eq!(stage.refreshes(Provider::Google), 0);
    }
    while !caller.is_finished() {
        stage.pass(1);
        stage.breathe().await;
    }
    if let Err(error) = caller.await.unwrap() {
        // A caller has less patience than a takeover may need; the refresh went on.
        assert!(matches!(error, Error::ProviderDown { .. }), "{error}");
        while fresh(&stage, &account).await.is_err() {
            stage.pass(1);
        }
    }
    assert_eq!(stage.refreshes(Provider::Google), 1);
    let left = stage
        .row(
            "select outcome from refresh_intents where id = 'int_dead'",
            vec![],
        )
        .await
        .unwrap();
    assert_eq!(left.get::<String>("outcome").unwrap(), "unknown");
}

#[tokio::test]
async fn a_waiter_takes_over_as_soon_as_the_holder_lets_go() {
    let stage = Arc::new(Stage::new().await);
    let account = stage.link(Provider::Google).await;
    stage.pass(3600);
    stage
        .sql(
            "insert into refresh_leases (lock_key, holder, counter, deadline, released) \
             select lock_key, 'other', 7, 0, false from provider_grants where account_id = $1",
            vec![(&account.id).into()],
        )
        .await;
    let (with, of) = (stage.clone(), account.clone());
    let caller = tokio::spawn(async move { fresh(&with, &of).await });
    stage.breathe().await;
    assert_eq!(stage.refreshes(Provider::Google), 0);
    stage
        .sql("update refresh_leases set released = true", vec![])
        .await;
    // A waiter looks at the row every second, wake-up or not. It may begin its
    // second after any one of ours, so time goes on until it has come.
    // A slow machine is given time to act in each: the caller's patience is
    // counted in our seconds.
    while !caller.is_finished() {
        stage.pass(1);
        for _ in 0..50 {
            if !caller.is_finished() {
                stage.breathe().await;
            }
        }
    }
    if let Err(error) = caller.await.unwrap() {
        // On a busy machine our seconds are many and a caller's patience ends
        // first; the refresh went on.
        assert!(matches!(error, Error::ProviderDown { .. }), "{error}");
        while fresh(&stage, &account).await.is_err() {
            stage.pass(1);
        }
    }
    assert_eq!(stage.refreshes(Provider::Google), 1);
}

#[tokio::test]
async fn what_the_person_revoked_needs_the_person_and_is_told_once() {
    let stage = Stage::new().await;
    stage
        .control
        .set_rotation(Provider::Slack, Rotation::Rotates { grace_seconds: 0 });
    for provider in Provider::ALL {
        let account = stage.link(provider).await;
        assert_ne!(stage.control.revoke(provider, "ada@example.com"), 0);
        stage.pass(13 * 3600);
        for _ in 0..3 {
            let error = fresh(&stage, &account).await.unwrap_err();
            let Error::Reconnect { reason, link, .. } = error else {
                panic!("{provider}: {error}");
            };
            assert_eq!(reason, Reason::Revoked);
            assert!(link.starts_with("https://attorn.test/accounts"));
        }
        assert_eq!(
            stage.state(&account).await,
            ("reconnect".to_owned(), Some("revoked".to_owned()))
        );
        // Linking again mends it, the account stays the same.
        let again = stage.link(provider).await;
        assert_eq!(again.id, account.id);
        fresh(&stage, &again).await.unwrap();
    }
    assert_eq!(stage.events("account.reconnect").await, 3);
}

#[tokio::test]
async fn an_unwell_provider_does_not_take_the_living_token_away() {
    let faults = [
        Fault::ServerError,
        Fault::Unavailable,
        Fault::HtmlError,
        Fault::HtmlPage,
        Fault::RateLimitedBare,
        Fault::OkFalse,
        Fault::RedirectOnToken,
        Fault::EmptyBody,
        Fault::TruncatedJson,
        Fault::AnswerLostAfterRotation,
        Fault::ErrorAfterRotation,
    ];
    for provider in [Provider::Google, Provider::Salesforce] {
        let stage = Stage::new().await;
        for fault in faults {
            let account = stage.link(provider).await;
            let lifetime = if provider == Provider::Google {
                3599
            } else {
                7200
            };
            let first = fresh(&stage, &account).await.unwrap();
            stage
                .control
                .set_fault_on(provider, Target::Refresh, fault, Times::Always);
            stage.pass(lifetime - 10);
            assert_eq!(
                fresh(&stage, &account).await.unwrap(),
                first,
                "{provider} {fault}"
            );
            stage.pass(10);
            let error = fresh(&stage, &account).await.unwrap_err();
            assert!(
                matches!(
                    error,
                    Error::ProviderDown {
                        retry_after_s: 1..,
                        ..
                    }
                ),
                "{provider} {fault}: {error}"
            );
            assert_eq!(
                stage.state(&account).await.0,
                "linked",
                "{provider} {fault}"
            );
            stage.control.clear();
            stage.pass(120);
            let second = fresh(&stage, &account).await.unwrap();
            assert_ne!(second, first, "{provider} {fault}");
        }
        assert!(stage.control.followed_redirects().is_empty());
    }
}

#[tokio::test]
async fn retry_after_is_kept_to() {
    let stage = Stage::new().await;
    let account = stage.link(Provider::Google).await;
    stage.control.set_fault_on(
        Provider::Google,
        Target::Refresh,
        Fault::RateLimited { retry_after: 40 },
        Times::Once,
    );
    stage.pass(3600);
    for _ in 0..5 {
        let error = fresh(&stage, &account).await.unwrap_err();
        assert!(
            matches!(
                error,
                Error::ProviderDown {
                    retry_after_s: 40..=41,
                    ..
                }
            ),
            "{error}"
        );
    }
    assert_eq!(stage.refreshes(Provider::Google), 1);
    stage.pass(41);
    fresh(&stage, &account).await.unwrap();
    assert_eq!(stage.refreshes(Provider::Google), 2);
}

#[tokio::test]
async fn an_answer_lost_within_the_grace_time_is_asked_for_again() {
    let stage = Stage::new().await;
    stage.control.set_rotation(
        Provider::Salesforce,
        Rotation::Rotates { grace_seconds: 60 },
    );
    let account = stage.link(Provider::Salesforce).await;
    stage.control.set_fault_on(
        Provider::Salesforce,
        Target::Refresh,
        Fault::AnswerLostAfterRotation,
        Times::Once,
    );
    stage.pass(7200);
    assert!(matches!(
        fresh(&stage, &account).await,
        Err(Error::ProviderDown { .. })
    ));
    stage.pass(3);
    fresh(&stage, &account).await.unwrap();
    stage.pass(7200);
    fresh(&stage, &account).await.unwrap();
}

#[tokio::test]
async fn the_one_honest_limit_says_what_happened() {
    let stage = Stage::new().await;
    stage
        .control
        .set_rotation(Provider::Slack, Rotation::Strict);
    let account = stage.link(Provider::Slack).await;
    stage.control.set_fault_on(
        Provider::Slack,
        Target::Refresh,
        Fault::AnswerLostAfterRotation,
        Times::Once,
    );
    stage.pass(12 * 3600);
    assert!(matches!(
        fresh(&stage, &account).await,
        Err(Error::ProviderDown { .. })
    ));
    stage.pass(31);
    let error = fresh(&stage, &account).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Reconnect {
                reason: Reason::AnswerLost,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(stage.refreshes(Provider::Slack), 2);
}

#[tokio::test]
async fn a_refused_client_is_not_the_accounts_fault() {
    let stage = Stage::new().await;
    let account = stage.link(Provider::Google).await;
    stage
        .control
        .set_fault(Provider::Google, Fault::RotatedClientSecret, Times::Once);
    stage.pass(3600);
    assert!(matches!(
        fresh(&stage, &account).await,
        Err(Error::ProviderRefused { .. })
    ));
    assert_eq!(stage.state(&account).await.0, "linked");
    stage.pass(31);
    fresh(&stage, &account).await.unwrap();
}

#[tokio::test]
async fn a_rotating_token_is_followed_through_many_refreshes() {
    let stage = Stage::new().await;
    for provider in Provider::ALL {
        stage.control.set_rotation(provider, Rotation::Strict);
        let account = stage.link(provider).await;
        let start = epoch(&stage, &account).await;
        for _ in 0..5 {
            stage.pass(13 * 3600);
            fresh(&stage, &account).await.unwrap();
        }
        assert_eq!(epoch(&stage, &account).await, start + 5);
        let left = stage
            .row(
                "select count(*) as n from refresh_candidates where account_id = $1",
                vec![(&account.id).into()],
            )
            .await
            .unwrap();
        assert_eq!(left.get::<i64>("n").unwrap(), 1, "old answers are dropped");
    }
}

#[tokio::test]
async fn a_token_that_soon_ends_is_refreshed_beside_its_use() {
    let stage = Stage::new().await;
    let account = stage.link(Provider::Google).await;
    let first = fresh(&stage, &account).await.unwrap();
    let gate = stage.control.gate_on(Provider::Google, Target::Refresh);
    stage.pass(3599 - 200);
    assert_eq!(
        fresh(&stage, &account).await.unwrap(),
        first,
        "nobody waits for it"
    );
    gate.arrived(1).await;
    gate.release();
    stage.pass(200);
    assert_ne!(fresh(&stage, &account).await.unwrap(), first);
    assert_eq!(stage.refreshes(Provider::Google), 1);
}

#[tokio::test]
async fn a_ciphertext_of_another_row_or_column_does_not_open() {
    let stage = Stage::new().await;
    let ada = stage.link(Provider::Google).await;
    let grace = stage
        .try_link(Provider::Google, "grace@example.com")
        .await
        .unwrap()
        .account;
    stage
        .sql(
            "update provider_grants set access_sealed = (select access_sealed from provider_grants where account_id = $2) \
             where account_id = $1",
            vec![(&ada.id).into(), (&grace.id).into()],
        )
        .await;
    assert!(matches!(fresh(&stage, &ada).await, Err(Error::Keys(_))));
    // Data key and all: still another row.
    stage
        .sql(
            "update accounts set data_key = (select data_key from accounts where id = $2) where id = $1",
            vec![(&ada.id).into(), (&grace.id).into()],
        )
        .await;
    assert!(matches!(fresh(&stage, &ada).await, Err(Error::Keys(_))));
    stage
        .sql(
            "update provider_grants set access_sealed = refresh_sealed where account_id = $1",
            vec![(&grace.id).into()],
        )
        .await;
    assert!(matches!(fresh(&stage, &grace).await, Err(Error::Keys(_))));
}

#[tokio::test]
async fn a_changed_api_address_does_not_open_the_token() {
    let stage = Stage::new().await;
    let account = stage.link(Provider::Salesforce).await;
    fresh(&stage, &account).await.unwrap();
    stage
        .sql(
            "update accounts set api_base = 'https://evil.my.salesforce.com' where id = $1",
            vec![(&account.id).into()],
        )
        .await;
    assert!(matches!(fresh(&stage, &account).await, Err(Error::Keys(_))));
}

#[tokio::test]
async fn no_token_lies_in_clear_in_the_database() {
    let stage = Stage::new().await;
    for provider in Provider::ALL {
        stage.link(provider).await;
    }
    stage.pass(3 * 3600);
    for account in domain::vault::accounts::list(&stage, &stage.ada.id)
        .await
        .unwrap()
    {
        fresh(&stage, &account).await.unwrap();
    }
    let mut held = Vec::new();
    let mut rx = stage.store.reader().await.unwrap();
    for (sql, column) in [
        ("select access_sealed as v from provider_grants", "v"),
        (
            "select refresh_sealed as v from provider_grants where refresh_sealed is not null",
            "v",
        ),
        ("select sealed as v from refresh_candidates", "v"),
        ("select leaf as v from events", "v"),
        ("select verifier_sealed as v from link_attempts", "v"),
    ] {
        for row in rx.all(sql, vec![]).await.unwrap() {
            held.extend(row.get::<Vec<u8>>(column).unwrap());
            held.push(b'\n');
        }
    }
    let text = String::from_utf8_lossy(&held).into_owned();
    for issued in stage
        .control
        .issued_tokens()
        .into_iter()
        .chain(stage.control.issued_codes())
    {
        assert!(!text.contains(&issued.token));
    }
}
