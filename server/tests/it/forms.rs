//! Every form: wrong input is told and changes nothing.

use crate::house::{FORM, House};

const PERSON: [&str; 9] = [
    "/settings/password",
    "/accounts/link/nowhere",
    "/accounts/acc_none/unlink",
    "/accounts/acc_none/default",
    "/permissions/none",
    "/approve/none",
    "/agent/runs",
    "/agent/runs/none/cancel",
    "/authorize/decision",
];
const ADMIN: [&str; 8] = [
    "/admin/people",
    "/admin/people/none/state",
    "/admin/clients",
    "/admin/clients/none/state",
    "/admin/clients/none/secret",
    "/admin/connections",
    "/admin/providers",
    "/admin/providers/none/remove",
];
const MADE: [&str; 7] = [
    "select count(*) as n from people",
    "select count(*) as n from clients",
    "select count(*) as n from connections",
    "select count(*) as n from providers",
    "select count(*) as n from permissions",
    "select count(*) as n from link_attempts",
    "select count(*) as n from runs",
];

async fn made(house: &House) -> Vec<i64> {
    let mut counts = Vec::new();
    for sql in MADE {
        counts.push(house.count(sql).await);
    }
    counts
}

#[tokio::test]
async fn what_is_no_form_or_a_wrong_one_is_refused_and_changes_nothing() {
    let house = House::open().await;
    let admin = house.bench.admin("root@example.com").await;
    let cookie = house.signed_in(&admin).await;
    let before = made(&house).await;
    let long = format!("prompt={}", "x".repeat(64 * 1024));
    for path in PERSON.into_iter().chain(ADMIN).chain(["/sign-in"]) {
        let broken: [(&str, &[u8], u16); 4] = [
            (FORM, b"name=\xff\xfe", 400),
            (FORM, long.as_bytes(), 413),
            ("application/json", b"{\"prompt\":\"x\"}", 415),
            ("text/plain", b"prompt=x", 415),
        ];
        for (media, body, status) in broken {
            let answer = house.post_as(path, &cookie, media, body.to_vec()).await;
            assert_eq!(answer.status, status, "{path} {media}");
        }
        for fields in [&[][..], &[("state", "x"), ("action", "x"), ("role", "x")]] {
            let answer = house.post(path, &cookie, fields).await;
            assert!(
                (400..500).contains(&answer.status),
                "{path} {fields:?}: {}",
                answer.status
            );
        }
    }
    assert_eq!(made(&house).await, before);
}

#[tokio::test]
async fn a_persons_form_needs_a_person_and_an_admins_an_admin() {
    let house = House::open().await;
    let cookie = house.signed_in(&house.ada).await;
    let before = made(&house).await;
    let fields = [
        ("email", "x@example.com"),
        ("name", "X"),
        ("password", "long enough, surely"),
        ("state", "active"),
        ("prompt", "x"),
        ("id", "x"),
    ];
    for path in PERSON.into_iter().chain(ADMIN) {
        let nobody = house.post(path, "", &fields).await;
        assert!(nobody.location().starts_with("/sign-in"), "{path}");
    }
    for path in ADMIN {
        let person = house.post(path, &cookie, &fields).await;
        assert_eq!(person.status, 403, "{path}");
    }
    assert_eq!(made(&house).await, before);
}

#[tokio::test]
async fn a_wrong_current_password_or_a_lock_upon_oneself_changes_nothing() {
    let house = House::open().await;
    let admin = house.bench.admin("root@example.com").await;
    let cookie = house.signed_in(&admin).await;
    let fields = [
        ("current_password", "wrong"),
        ("new_password", "a new and long one"),
    ];
    let wrong = house.post("/settings/password", &cookie, &fields).await;
    assert_eq!(wrong.status, 422);
    let path = format!("/admin/people/{}/state", admin.id);
    let locked = house.post(&path, &cookie, &[("state", "locked")]).await;
    assert_eq!(locked.status, 409);
    assert_eq!(house.get("/", &cookie).await.status, 200);
}
