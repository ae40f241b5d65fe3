//! `/devices/channels`: other ways to be told, as the page's forms post them.

use domain::approval::channels;

use crate::house::House;

const ADD: &str = "/devices/channels";

#[tokio::test]
async fn an_app_is_added_with_its_secret_shown_once_tried_and_removed() {
    let house = House::open().await;
    let cookie = house.signed_in(&house.ada).await;
    let fields = [
        ("kind", "webhook"),
        ("address", "https://app.example/hooks/s3cret"),
    ];
    let added = house.post(ADD, &cookie, &fields).await;
    assert_eq!(added.status, 200);
    assert_eq!(added.header("cache-control"), "no-store");
    let list = channels::list(&house.bench, &house.ada.id).await.unwrap();
    let secret = channels::webhook::secret(&house.bench, &list[0].id);
    assert!(added.body.contains(secret.expose().as_str()));
    let page = house.get("/devices", &cookie).await;
    assert!(!page.body.contains("whsec_"), "shown once");
    assert!(page.body.contains("app.example") && !page.body.contains("s3cret"));
    let twice = house.post(ADD, &cookie, &fields).await;
    assert_eq!(twice.status, 422);
    assert!(twice.body.contains("You are told in this way already."));
    let to = |what: &str| format!("{ADD}/{}/{what}", list[0].id);
    let tried = house.post(&to("test"), &cookie, &[]).await;
    assert_eq!(
        (tried.status, tried.location()),
        (303, "/devices?channels=tested#channels")
    );
    let page = house.get("/devices", &cookie).await;
    assert!(page.body.contains("What was sent lately"));
    assert_eq!(house.post(&to("sell"), &cookie, &[]).await.status, 404);
    let eve = house.bench.person("eve@example.com").await;
    let eve = house.signed_in(&eve).await;
    for what in ["test", "raise", "remove"] {
        assert_eq!(house.post(&to(what), &eve, &[]).await.status, 404, "{what}");
    }
    assert_eq!(house.post(&to("remove"), &cookie, &[]).await.status, 303);
    let left = channels::list(&house.bench, &house.ada.id).await.unwrap();
    assert!(left.is_empty());
}

#[tokio::test]
async fn what_is_no_address_of_an_app_is_kept_in_the_form_and_mail_is_offered_only_where_it_is_sent()
 {
    let house = House::open().await;
    let cookie = house.signed_in(&house.ada).await;
    for address in ["", "http://app.example/", "javascript:alert(1)"] {
        let fields = [("kind", "webhook"), ("address", address)];
        let refused = house.post(ADD, &cookie, &fields).await;
        assert_eq!(refused.status, 422, "{address}");
        assert!(refused.body.contains("must begin with https"));
    }
    let page = house.get("/devices", &cookie).await;
    assert!(!page.body.contains("Send mail to"));
    let refused = house.post(ADD, &cookie, &[("kind", "mail")]).await;
    assert_eq!(refused.status, 422);
    let nobody = house.post(ADD, "", &[("kind", "mail")]).await;
    assert!(nobody.location().starts_with("/sign-in"));
}
