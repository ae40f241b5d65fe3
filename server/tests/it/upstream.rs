//! Signing in through another OpenID provider: here another Attorn.

use axum::http::header;
use domain::identity::upstream::Upstream;
use domain::identity::{self, Person};
use domain::oauth::{NewClient, Source};
use domain::secret::Secret;

use crate::house::{Answer, House};

/// The house that people want into, and the one that knows them.
struct Scene {
    house: House,
    upstream: House,
    /// Ada at the upstream, signed in.
    cookie: String,
}

impl Scene {
    async fn new(admits: &[&str]) -> Self {
        let upstream = House::open().await;
        let mut new = NewClient::confidential("House", Source::Command);
        // Its address is known only once it is open; it is set below.
        new.redirect_uris = vec!["https://later.test/".to_owned()];
        let (client, secret) = upstream.bench.register(new).await;
        let entry = Upstream {
            id: "work".to_owned(),
            name: "Work".to_owned(),
            issuer: upstream.issuer().to_owned(),
            client_id: client.id.clone(),
            client_secret: Secret::new(secret.expose().clone()),
            admits: admits.iter().map(|domain| (*domain).to_owned()).collect(),
        };
        let house = House::with(|settings| settings.sign_in = vec![entry]).await;
        let callback = format!("{}sign-in/callback", house.issuer());
        domain::oauth::clients::redirect_to(&upstream.bench, None, &client.id, vec![callback])
            .await
            .unwrap();
        let cookie = upstream.signed_in(&upstream.ada).await;
        Self {
            house,
            upstream,
            cookie,
        }
    }

    /// Begins in a fresh browser: its cookie, and where it is sent.
    async fn begun(&self) -> (String, String) {
        let begun = self
            .house
            .get("/sign-in/with/work?return_to=/accounts", "")
            .await;
        assert_eq!(begun.status, 303, "{}", begun.body);
        (cookie_of(&begun), begun.location().to_owned())
    }

    /// Ada consents at the upstream: the way back.
    async fn consented(&self, to: &str) -> String {
        let path = to.strip_prefix(self.upstream.issuer()).unwrap();
        let page = self.upstream.get(&format!("/{path}"), &self.cookie).await;
        if page.status == 303 {
            return back(&page);
        }
        let (_, query) = path.split_once('?').unwrap();
        let mut fields: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect();
        fields.push(("decision".to_owned(), "allow".to_owned()));
        let fields: Vec<(&str, &str)> = fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let answer = self
            .upstream
            .post("/authorize/decision", &self.cookie, &fields)
            .await;
        assert_eq!(answer.status, 303, "{}", answer.body);
        back(&answer)
    }

    async fn people(&self) -> i64 {
        self.house.count("select count(*) as n from people").await
    }
}

fn cookie_of(answer: &Answer) -> String {
    let set = answer.header(header::SET_COOKIE.as_str());
    set.split(';').next().unwrap().to_owned()
}

fn back(answer: &Answer) -> String {
    crate::house::path_of(answer.location())
}

fn problem(answer: &Answer) -> String {
    assert_eq!(answer.status, 303);
    let to = answer.location();
    let (_, query) = to.split_once('?').unwrap_or_default();
    url::form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == "problem")
        .map(|(_, word)| word.into_owned())
        .unwrap_or_else(|| panic!("no problem: {to}"))
}

async fn bob(house: &House) -> Person {
    house.bench.person("bob@elsewhere.example").await
}

#[tokio::test]
async fn the_sign_in_page_offers_the_provider_and_says_what_went_wrong() {
    let scene = Scene::new(&[]).await;
    let page = scene
        .house
        .get("/sign-in?problem=nobody&return_to=/accounts", "")
        .await;
    assert!(page.body.contains("Continue with"), "{}", page.body);
    assert!(page.body.contains("/sign-in/with/work?return_to=/accounts"));
    assert!(page.body.contains("Ask an admin to add you"));
    let unknown = scene.house.get("/sign-in/with/nobody", "").await;
    assert_eq!(problem(&unknown), "unknown");
}

#[tokio::test]
async fn an_address_the_provider_did_not_verify_leads_to_nobody() {
    // An Attorn says of no address that it verified it.
    let scene = Scene::new(&["example.com"]).await;
    let before = scene.people().await;
    let (cookie, to) = scene.begun().await;
    let way_back = scene.consented(&to).await;
    let answer = scene.house.get(&way_back, &cookie).await;
    assert_eq!(problem(&answer), "nobody");
    assert_eq!(scene.people().await, before);
    let known = "select count(*) as n from upstream_identities";
    assert_eq!(scene.house.count(known).await, 0);
}

#[tokio::test]
async fn an_answer_in_another_browser_or_a_second_time_signs_nobody_in() {
    let scene = Scene::new(&[]).await;
    let (cookie, to) = scene.begun().await;
    let (other, _) = scene.begun().await;
    let way_back = scene.consented(&to).await;
    for browser in ["", other.as_str()] {
        let answer = scene.house.get(&way_back, browser).await;
        assert_eq!(problem(&answer), "failed");
    }
    let foreign = way_back.replace("iss=", "iss=https%3A%2F%2Fevil.example&was=");
    let answer = scene.house.get(&foreign, &cookie).await;
    assert_eq!(problem(&answer), "failed");
    // The way back was used up by that.
    let answer = scene.house.get(&way_back, &cookie).await;
    assert_eq!(problem(&answer), "failed");
    let signed_in = "select count(*) as n from events where kind = 'session.signed_in'";
    assert_eq!(scene.house.count(signed_in).await, 0);
}

#[tokio::test]
async fn somebody_known_by_issuer_and_subject_signs_in_whatever_their_address() {
    let scene = Scene::new(&[]).await;
    let bob = bob(&scene.house).await;
    identity::upstream::know(
        &scene.house.bench,
        scene.upstream.issuer(),
        &scene.upstream.ada.id,
        &bob.id,
    )
    .await
    .unwrap();
    let (cookie, to) = scene.begun().await;
    let way_back = scene.consented(&to).await;
    let answer = scene.house.get(&way_back, &cookie).await;
    assert_eq!((answer.status, answer.location()), (303, "/accounts"));
    let signed_in = cookie_of(&answer);
    assert_ne!(signed_in, cookie, "a new session (fixation)");
    let page = scene.house.get("/settings", &signed_in).await;
    assert!(page.body.contains("bob@elsewhere.example"));
    // Locked here, whatever the provider says.
    identity::set_state(&scene.house.bench, None, &bob.id, identity::State::Locked)
        .await
        .unwrap();
    let (cookie, to) = scene.begun().await;
    let way_back = scene.consented(&to).await;
    let answer = scene.house.get(&way_back, &cookie).await;
    assert_eq!(problem(&answer), "locked");
}

#[tokio::test]
async fn a_sign_in_is_as_old_as_the_one_at_the_provider_and_proving_it_again_is_asked_of_it() {
    let scene = Scene::new(&[]).await;
    let bob = bob(&scene.house).await;
    let (here, there) = (&scene.house, &scene.upstream);
    identity::upstream::know(&here.bench, there.issuer(), &there.ada.id, &bob.id)
        .await
        .unwrap();
    // Ada's session at the provider is ten minutes old.
    for house in [here, there] {
        house.bench.advance(std::time::Duration::from_secs(600));
    }
    let (cookie, to) = scene.begun().await;
    assert!(!to.contains("prompt="), "{to}");
    let way_back = scene.consented(&to).await;
    let signed_in = cookie_of(&here.get(&way_back, &cookie).await);
    let agent = here.agent().await;
    let asked = |max_age| {
        let fields = [
            ("response_type", "code"),
            ("client_id", agent.client.id.as_str()),
            ("redirect_uri", "https://agent.test/callback"),
            ("scope", "openid"),
            ("code_challenge", domain::testing::CHALLENGE),
            ("code_challenge_method", "S256"),
            ("max_age", max_age),
        ];
        format!("/authorize?{}", crate::house::form(&fields))
    };
    assert_eq!(here.get(&asked("3600"), &signed_in).await.status, 200);
    let old = here.get(&asked("60"), &signed_in).await;
    assert!(old.location().starts_with("/sign-in?"), "{}", old.body);
    // Who is signed in and goes there once more is to prove it anew.
    let again = here.get("/sign-in/with/work?return_to=/", &signed_in).await;
    assert!(again.location().contains("prompt=login"));
}
