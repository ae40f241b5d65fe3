//! `/devices`, `/sign-in/passkey` and a signed `/approve/{id}`, as the script of the pages speaks to them.

use domain::identity::passkeys;
use evidence::digest::{base64url, from_base64url};
use evidence::webauthn::virtual_authenticator::VirtualAuthenticator;
use serde_json::json;

use crate::backchannel::{ask, pending};
use crate::house::{Answer, House};

const DETAILS: &str = r#"[{"type":"deployment","service":"billing","version":"2.1"}]"#;

fn challenge(options: &Answer) -> Vec<u8> {
    assert_eq!(options.status, 200, "{}", options.body);
    assert_eq!(options.header("cache-control"), "no-store");
    from_base64url(&options.text("challenge")).unwrap()
}

/// What the script makes of `navigator.credentials.get`.
fn got(phone: &mut VirtualAuthenticator, person: &str, challenge: &[u8]) -> String {
    let signed = phone.get(challenge);
    json!({
        "id": base64url(&phone.credential_id),
        "clientDataJSON": base64url(&signed.client_data_json),
        "authenticatorData": base64url(&signed.authenticator_data),
        "signature": base64url(&signed.signature),
        "userHandle": base64url(person.as_bytes()),
    })
    .to_string()
}

async fn set_up(house: &House, cookie: &str) -> VirtualAuthenticator {
    let party = passkeys::relying_party(&house.bench).unwrap();
    let phone = VirtualAuthenticator::new(&party);
    let options = house.post("/devices/options", cookie, &[]).await;
    let created = phone.create(&challenge(&options));
    let made = json!({
        "clientDataJSON": base64url(&created.client_data_json),
        "attestationObject": base64url(&created.attestation_object),
        "transports": ["internal"],
    })
    .to_string();
    let fields = [("name", "My phone"), ("passkey", made.as_str())];
    let added = house.post("/devices", cookie, &fields).await;
    assert_eq!(added.status, 200);
    assert_eq!(added.header("cache-control"), "no-store");
    assert!(added.body.contains("recovery codes"), "{}", added.body);
    assert!(added.body.contains("My phone"));
    phone
}

#[tokio::test]
async fn a_device_approves_signs_in_and_is_removed() {
    let house = House::open().await;
    let agent = house.agent().await;
    let cookie = house.signed_in(&house.ada).await;
    let mut phone = set_up(&house, &cookie).await;

    ask(&house, &agent, DETAILS).await;
    let page = format!("/approve/{}", pending(&house).await);
    let plain = house.post(&page, &cookie, &[("decision", "approve")]).await;
    assert_eq!(plain.status, 403);
    assert!(
        plain
            .body
            .contains("only be approved with one of your devices")
    );
    let id = page.trim_start_matches("/approve/");
    let approval = domain::approval::get(&house.bench, &house.ada.id, id).await;
    let over = domain::approval::challenge(
        &house.bench,
        &approval.unwrap().unwrap(),
        domain::approval::Decision::Approve,
    );
    let shown = house.get(&page, &cookie).await;
    assert!(
        shown.body.contains(&base64url(&over.hash())),
        "the page asks for it"
    );
    let wrong = got(&mut phone, &house.ada.id, &[0; 32]);
    let fields = [("decision", "approve"), ("passkey", wrong.as_str())];
    assert_eq!(house.post(&page, &cookie, &fields).await.status, 403);
    let right = got(&mut phone, &house.ada.id, &over.hash());
    let fields = [("decision", "approve"), ("passkey", right.as_str())];
    assert_eq!(house.post(&page, &cookie, &fields).await.status, 303);
    // The same answer again decides nothing more.
    assert_eq!(house.post(&page, &cookie, &fields).await.status, 409);

    // Another browser signs in with it.
    let options = house.post("/sign-in/passkey/options", "", &[]).await;
    let asked = challenge(&options);
    let set = options.header("set-cookie");
    let other = set.split(';').next().unwrap().to_owned();
    let answer = got(&mut phone, &house.ada.id, &asked);
    let fields = [
        ("passkey", answer.as_str()),
        ("return_to", "//evil.example"),
    ];
    let signed_in = house.post("/sign-in/passkey", &other, &fields).await;
    assert_eq!((signed_in.status, signed_in.location()), (303, "/"));
    let fresh = signed_in.header("set-cookie");
    assert!(fresh.starts_with("attorn=") && !fresh.starts_with(&other));

    let list = passkeys::list(&house.bench, &house.ada.id).await.unwrap();
    let remove = format!("/devices/{}/remove", list[0].id);
    let eve = house.bench.person("eve@example.com").await;
    let eve = house.signed_in(&eve).await;
    assert_eq!(house.post(&remove, &eve, &[]).await.status, 404);
    assert_eq!(house.post(&remove, &cookie, &[]).await.status, 303);
    // The password's session does not get in again by itself.
    let again = house.post("/devices/options", &cookie, &[]).await;
    assert_eq!(
        (again.status, again.text("error").as_str()),
        (422, "needs-passkey")
    );
}

#[tokio::test]
async fn what_is_no_passkeys_answer_changes_nothing() {
    let house = House::open().await;
    let cookie = house.signed_in(&house.ada).await;
    for path in ["/devices/options", "/devices/confirm/options", "/devices"] {
        let nobody = house.post(path, "", &[]).await;
        assert!(nobody.location().starts_with("/sign-in"), "{path}");
    }
    let nonsense = [
        "",
        "{}",
        "[]",
        r#"{"clientDataJSON":"!","attestationObject":"AA"}"#,
        r#"{"clientDataJSON":"AA","attestationObject":"AA"}"#,
        r#"{"id":"AA","clientDataJSON":"AA","authenticatorData":"AA","signature":"AA"}"#,
    ];
    for passkey in nonsense {
        let fields = [("name", "Phone"), ("passkey", passkey)];
        for path in ["/devices", "/devices/codes"] {
            let status = house.post(path, &cookie, &fields).await.status;
            assert!(matches!(status, 403 | 422), "{path} {passkey}: {status}");
        }
        let status = house.post("/sign-in/passkey", "", &fields).await.status;
        assert!(matches!(status, 403 | 422), "{passkey}: {status}");
    }
    let rows = "select count(*) as n from passkeys";
    assert_eq!(house.count(rows).await, 0);
    // Too long ago: the person signs in again first.
    house.bench.advance(std::time::Duration::from_secs(11 * 60));
    let late = house.post("/devices/options", &cookie, &[]).await;
    assert_eq!(late.text("error"), "sign-in-again");
}

#[tokio::test]
async fn a_browser_is_told_only_where_its_subscription_is_one() {
    let house = House::open().await;
    let cookie = house.signed_in(&house.ada).await;
    // The browser of RFC 8291, appendix A.
    let p256dh =
        "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
    let auth = "BTBZMqHH6r4Tts7J_aSIgg";
    let endpoint = "https://push.example/send/abc";
    let post = async |name: &str, endpoint: &str, p256dh: &str, auth: &str| {
        let fields = [
            ("browser", name),
            ("endpoint", endpoint),
            ("p256dh", p256dh),
            ("auth", auth),
        ];
        house
            .post("/devices/notices", &cookie, &fields)
            .await
            .status
    };
    assert_eq!(post("Phone", "javascript:x", p256dh, auth).await, 422);
    assert_eq!(post("Phone", endpoint, "AAAA", auth).await, 422);
    assert_eq!(post("Phone", endpoint, p256dh, "?").await, 422);
    assert_eq!(post("", endpoint, p256dh, auth).await, 422);
    assert_eq!(post("Phone", endpoint, p256dh, auth).await, 303);
    let page = house.get("/devices", &cookie).await;
    assert!(page.body.contains("brought by push.example"));
    assert!(!page.body.contains("/send/abc"));
}
