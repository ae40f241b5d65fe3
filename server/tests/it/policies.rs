//! Policies in the console.

use domain::approval::{self, Ask, PersonHint};
use domain::identity::Person;
use serde_json::json;

use crate::house::House;

const PAGE: &str = "/admin/policies";
const ADD: &str = "/admin/policies/approving";

async fn desk() -> (House, String) {
    let house = House::open().await;
    let admin = house.bench.admin("root@example.com").await;
    let cookie = house.signed_in(&admin).await;
    (house, cookie)
}

const NUMBERS: [(&str, &str); 6] = [
    ("name", "Payments by number"),
    ("details_type", "payment"),
    ("client", ""),
    ("passkey", "none"),
    ("match_number", "on"),
    ("do", "add"),
];

/// A request of an agent that this person allowed.
async fn asked(house: &House, person: &Person) -> approval::Asked {
    let (client, _) = house.bench.client("Pay bot").await;
    house
        .bench
        .tokens(&client, person, "openid offline_access")
        .await;
    let ask = Ask {
        person: PersonHint::Id(person.id.clone()),
        scopes: vec!["openid".to_owned()],
        audience: None,
        binding_message: None,
        details: Some(
            json!([{"type": "payment", "amount": "9.90", "currency": "EUR", "payee": "Print shop"}]),
        ),
        requested_expiry_s: None,
        run_id: None,
    };
    approval::ask(&house.bench, &client, ask).await.unwrap()
}

#[tokio::test]
async fn an_admin_adds_a_policy_and_people_type_the_number() {
    let (house, cookie) = desk().await;
    let added = house.post(ADD, &cookie, &NUMBERS).await;
    assert_eq!(
        (added.status, added.location()),
        (303, PAGE),
        "{}",
        added.body
    );
    let page = house.get(PAGE, &cookie).await;
    assert!(page.body.contains("Payments by number"), "{}", page.body);
    assert!(page.body.contains("Nothing was asked or called yet"));

    let asked = asked(&house, &house.ada).await;
    let number = asked.matching_number.clone().unwrap();
    let hers = house.signed_in(&house.ada).await;
    let decide = format!("/approve/{}", asked.approval_id);
    let page = house.get(&decide, &hers).await;
    assert!(
        page.body.contains("Number your agent shows"),
        "{}",
        page.body
    );
    assert!(page.body.contains("Payments by number"));
    let wrong = if number == "00" { "01" } else { "00" };
    let post = async |number| {
        let fields = [("decision", "approve"), ("number", number)];
        house.post(&decide, &hers, &fields).await
    };
    let refused = post(wrong).await;
    assert_eq!(refused.status, 422);
    assert!(refused.body.contains("That is not the number"));
    let done = post(&number).await;
    assert_eq!(
        (done.status, done.location()),
        (303, decide.as_str()),
        "{}",
        done.body
    );
    let page = house.get(PAGE, &cookie).await;
    assert!(
        page.body
            .contains("Of the last 1 requests it covers 1; 0 of them"),
        "{}",
        page.body
    );
}

#[tokio::test]
async fn a_policy_is_tried_before_it_is_added_and_removed_again() {
    let (house, cookie) = desk().await;
    asked(&house, &house.ada).await;
    let mut fields = NUMBERS.to_vec();
    fields[5].1 = "try";
    let tried = house.post(ADD, &cookie, &fields).await;
    assert_eq!(tried.status, 200);
    assert!(
        tried.body.contains("Of the last 1 requests it covers 1"),
        "{}",
        tried.body
    );
    assert!(tried.body.contains("No policy is set up"));
    house.post(ADD, &cookie, &NUMBERS).await;
    let page = house.get(PAGE, &cookie).await;
    let at = page.body.find("/admin/policies/pol_").unwrap();
    let action = page.body[at..].split('"').next().unwrap();
    let removed = house.post(action, &cookie, &[]).await;
    assert_eq!((removed.status, removed.location()), (303, PAGE));
    let again = house.post(action, &cookie, &[]).await;
    assert_eq!(again.status, 404);
    assert!(again.body.contains("No policy is set up"));
}

#[tokio::test]
async fn approvers_find_the_request_and_decide_it_on_its_page() {
    let (house, cookie) = desk().await;
    let mut approvers = Vec::new();
    for name in ["ben", "cid"] {
        approvers.push(house.bench.person(&format!("{name}@example.com")).await);
    }
    let fields = [
        ("name", "Two pairs of eyes"),
        ("details_type", "payment"),
        ("passkey", "none"),
        ("approvers", "ben@example.com\ncid@example.com"),
        ("needed", "2"),
        ("do", "add"),
    ];
    let added = house.post(ADD, &cookie, &fields).await;
    assert_eq!(added.status, 303, "{}", added.body);
    let page = house.get(PAGE, &cookie).await;
    assert!(
        page.body.contains("2 of ben, cid must approve"),
        "{}",
        page.body
    );
    let asked = asked(&house, &house.ada).await;
    let decide = format!("/approve/{}", asked.approval_id);
    let hers = house.signed_in(&house.ada).await;
    let page = house.get(&decide, &hers).await;
    assert!(
        page.body.contains("other people approve this"),
        "{}",
        page.body
    );
    assert!(!page.body.contains("value=\"approve\""));
    let approve = [("decision", "approve")];
    assert_eq!(house.post(&decide, &hers, &approve).await.status, 403);
    for (at, progress) in ["0 of 2 so far", "1 of 2 so far: ben"]
        .into_iter()
        .enumerate()
    {
        let theirs = house.signed_in(&approvers[at]).await;
        let list = house.get("/approvals", &theirs).await;
        assert!(list.body.contains(&decide), "{}", list.body);
        let page = house.get(&decide, &theirs).await;
        assert!(page.body.contains(progress), "{}", page.body);
        assert!(page.body.contains("you are an approver"));
        let done = house.post(&decide, &theirs, &approve).await;
        assert_eq!(done.status, 303, "{}", done.body);
        let again = house.get(&decide, &theirs).await;
        let words = ["It waits for the others", "You approved"][at];
        assert!(again.body.contains(words), "{}", again.body);
    }
    for (field, value, words) in [
        (
            "approvers",
            "nobody@example.com",
            "There is nobody with the address",
        ),
        ("needed", "3", "At least 1, and at most"),
        ("needed", "two", "Give a number."),
    ] {
        let fields = fields.map(|(name, old)| (name, if name == field { value } else { old }));
        let refused = house.post(ADD, &cookie, &fields).await;
        assert_eq!(refused.status, 422);
        assert!(refused.body.contains(words), "{}", refused.body);
    }
}

#[tokio::test]
async fn what_is_wrong_stands_beside_its_field_and_only_admins_come_in() {
    let (house, cookie) = desk().await;
    for (at, value, words) in [
        (0, "", "Give it a name"),
        (1, "unheard_of", "Choose one of these."),
        (2, "cli_nobody", "There is no such client."),
        (3, "sometimes", "Choose one of these."),
        (4, "", "The policy asks for nothing yet."),
    ] {
        let mut fields = NUMBERS.to_vec();
        fields[at].1 = value;
        let refused = house.post(ADD, &cookie, &fields).await;
        assert_eq!(refused.status, 422, "{value}");
        assert!(refused.body.contains(words), "{value}: {}", refused.body);
    }
    let calls = [
        ("call_name", "Posting"),
        ("connection", "nowhere"),
        ("path", "/chat.postMessage"),
        ("do", "add"),
    ];
    let refused = house.post("/admin/policies/calling", &cookie, &calls).await;
    assert_eq!(refused.status, 422);
    let hers = house.signed_in(&house.ada).await;
    assert_eq!(house.get(PAGE, &hers).await.status, 403);
    assert_eq!(house.post(ADD, &hers, &NUMBERS).await.status, 403);
}
