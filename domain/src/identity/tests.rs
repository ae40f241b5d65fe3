use super::*;
use crate::testing::{Bench, PASSWORD};
use std::time::Duration;

async fn try_in(bench: &Bench, email: &str, password: &str) -> Result<Person, Error> {
    sign_in(bench, email, password.into(), Some("192.0.2.1".to_owned())).await
}

#[tokio::test]
async fn a_person_signs_in_with_the_address_in_any_case() {
    let bench = Bench::new().await;
    let ada = bench.person("Ada@Example.com").await;
    assert_eq!(ada.email, "ada@example.com");
    assert_eq!(
        try_in(&bench, " ADA@example.com", PASSWORD).await.unwrap(),
        ada
    );
    assert!(matches!(
        create(
            &bench,
            NewPerson {
                email: "ADA@example.com".to_owned(),
                name: "Another".to_owned(),
                password: PASSWORD.into(),
                role: Role::Admin,
            }
        )
        .await,
        Err(Error::EmailTaken)
    ));
}

#[tokio::test]
async fn a_wrong_password_and_nobody_answer_the_same() {
    let bench = Bench::new().await;
    bench.person("ada@example.com").await;
    let wrong = try_in(&bench, "ada@example.com", "wrong horse").await;
    let nobody = try_in(&bench, "nobody@example.com", PASSWORD).await;
    assert_eq!(
        wrong.unwrap_err().to_string(),
        nobody.unwrap_err().to_string()
    );
}

#[tokio::test]
async fn the_eleventh_wrong_password_waits() {
    let bench = Bench::new().await;
    bench.person("ada@example.com").await;
    for _ in 0..10 {
        let wrong = try_in(&bench, "ada@example.com", "wrong horse").await;
        assert!(matches!(wrong, Err(Error::WrongPassword)));
    }
    let Err(Error::TooManyAttempts { retry_after_s }) =
        try_in(&bench, "ada@example.com", PASSWORD).await
    else {
        panic!("it should wait");
    };
    assert_eq!(retry_after_s, 300);
    bench.advance(Duration::from_secs(retry_after_s));
    try_in(&bench, "ada@example.com", PASSWORD).await.unwrap();
}

#[tokio::test]
async fn locking_ends_sessions_and_only_another_admin_may() {
    let bench = Bench::new().await;
    let ada = bench.person("ada@example.com").await;
    let root = bench.admin("root@example.com").await;
    let later = bench.now() + 1000;
    sessions::save(&bench, "s1", Some(&ada.id), "{}", later)
        .await
        .unwrap();
    assert!(sessions::load(&bench, "s1").await.unwrap().is_some());
    for by in [&ada.id, "per_nobody"] {
        let refused = set_state(&bench, Some(by), &root.id, State::Locked).await;
        assert!(matches!(refused, Err(Error::NotAllowed)));
    }
    let own = set_state(&bench, Some(&root.id), &root.id, State::Locked).await;
    assert!(matches!(own, Err(Error::NotAllowed)));
    set_state(&bench, Some(&root.id), &ada.id, State::Locked)
        .await
        .unwrap();
    assert!(sessions::load(&bench, "s1").await.unwrap().is_none());
    // Not even one that the cookie layer writes again.
    sessions::save(&bench, "s1", Some(&ada.id), "{}", later)
        .await
        .unwrap();
    assert!(sessions::load(&bench, "s1").await.unwrap().is_none());
    let locked = try_in(&bench, "ada@example.com", PASSWORD).await;
    assert!(matches!(locked, Err(Error::Locked)));
}

#[tokio::test]
async fn an_expired_session_never_loads() {
    let bench = Bench::new().await;
    sessions::save(&bench, "s1", None, "{}", bench.now() + 1000)
        .await
        .unwrap();
    bench.advance(Duration::from_millis(999));
    assert!(sessions::load(&bench, "s1").await.unwrap().is_some());
    bench.advance(Duration::from_millis(1));
    assert!(sessions::load(&bench, "s1").await.unwrap().is_none());
    assert_eq!(sessions::sweep(&bench).await.unwrap(), 1);
}

#[tokio::test]
async fn a_row_changed_by_another_hand_is_refused() {
    let bench = Bench::new().await;
    let ada = bench.person("ada@example.com").await;
    let id = ada.id.clone();
    let done: Result<u64, storage::Error> = bench
        .store
        .write(move |tx| {
            let id = id.clone();
            Box::pin(async move {
                tx.execute(
                    "update people set role = 'admin' where id = $1",
                    vec![id.into()],
                )
                .await
            })
        })
        .await;
    done.unwrap();
    assert!(matches!(
        person(&bench, &ada.id).await,
        Err(Error::Storage(storage::Error::BadRow {
            table: "people",
            column: "mac",
            ..
        }))
    ));
}

#[tokio::test]
async fn a_new_password_takes_the_old_one_and_ends_sessions() {
    let bench = Bench::new().await;
    let ada = bench.person("ada@example.com").await;
    let later = bench.now() + 1000;
    sessions::save(&bench, "s1", Some(&ada.id), "{}", later)
        .await
        .unwrap();
    let change =
        |current: &str, new: &str| change_password(&bench, &ada.id, current.into(), new.into());
    let wrong = change("wrong horse", "a longer secret").await;
    assert!(matches!(wrong, Err(Error::WrongPassword)));
    let short = change(PASSWORD, "short").await;
    assert!(matches!(short, Err(Error::Invalid(_))));
    assert!(sessions::load(&bench, "s1").await.unwrap().is_some());
    change(PASSWORD, "a longer secret").await.unwrap();
    assert!(sessions::load(&bench, "s1").await.unwrap().is_none());
    let old = try_in(&bench, "ada@example.com", PASSWORD).await;
    assert!(matches!(old, Err(Error::WrongPassword)));
    try_in(&bench, "ada@example.com", "a longer secret")
        .await
        .unwrap();
}
