//! The code that a person tells programs which ask for approvals.

use domain::identity::user_code;
use domain::oauth::{ClientMetadata, NewClient, Source};

use crate::house::{Agent, Answer, House};

struct Scene {
    house: House,
    agent: Agent,
}

impl Scene {
    /// An agent that was registered to send user codes, or not.
    async fn new(sends_codes: bool) -> Self {
        let house = House::open().await;
        let agent = Self::agent(&house, sends_codes).await;
        Self { house, agent }
    }

    async fn agent(house: &House, sends_codes: bool) -> Agent {
        let mut new = NewClient::confidential("Agent", Source::Command);
        new.redirect_uris = vec!["https://agent.example/callback".to_owned()];
        new.metadata = ClientMetadata {
            backchannel_user_code_parameter: sends_codes,
            ..ClientMetadata::default()
        };
        let (client, secret) = house.bench.register(new).await;
        house.bench.tokens(&client, &house.ada, "openid").await;
        Agent { client, secret }
    }

    async fn set(&self, code: &str) {
        let code = Some(code.into());
        user_code::set(&self.house.bench, &self.house.ada.id, code)
            .await
            .unwrap();
    }

    async fn ask_as(&self, agent: &Agent, code: Option<&str>) -> Answer {
        let mut fields = vec![
            ("scope", "openid"),
            ("login_hint", self.house.ada.email.as_str()),
        ];
        fields.extend(code.map(|code| ("user_code", code)));
        self.house
            .post_authenticated("/bc-authorize", agent, &fields)
            .await
    }

    async fn ask(&self, code: Option<&str>) -> Answer {
        self.ask_as(&self.agent, code).await
    }
}

#[tokio::test]
async fn who_has_a_code_is_asked_by_programs_that_were_told_it() {
    let scene = Scene::new(true).await;
    assert_eq!(scene.ask(None).await.status, 200, "she has none yet");
    scene.set("1234 blue").await;
    let missing = scene.ask(None).await;
    assert_eq!(missing.error(), (400, "missing_user_code".to_owned()));
    let wrong = scene.ask(Some("1234")).await;
    assert_eq!(wrong.error(), (400, "invalid_user_code".to_owned()));
    assert_eq!(scene.ask(Some("1234 blue")).await.status, 200);
    let none = user_code::set(&scene.house.bench, &scene.house.ada.id, None);
    none.await.unwrap();
    assert_eq!(scene.ask(None).await.status, 200);
}

#[tokio::test]
async fn a_program_that_knows_of_no_codes_is_not_asked_for_one() {
    let scene = Scene::new(false).await;
    scene.set("1234 blue").await;
    assert_eq!(scene.ask(None).await.status, 200);
}

#[tokio::test]
async fn who_guesses_a_code_is_kept_out_and_shuts_nobody_else_out() {
    let scene = Scene::new(true).await;
    scene.set("1234 blue").await;
    let other = Scene::agent(&scene.house, true).await;
    for _ in 0..10 {
        let wrong = scene.ask(Some("guess")).await;
        assert_eq!(wrong.error(), (400, "invalid_user_code".to_owned()));
    }
    let refused = scene.ask(Some("1234 blue")).await;
    assert_eq!(refused.error(), (429, "too_many_requests".to_owned()));
    assert!(!refused.header("retry-after").is_empty());
    assert_eq!(scene.ask_as(&other, Some("1234 blue")).await.status, 200);
}

#[tokio::test]
async fn a_person_sets_and_takes_away_their_code_on_their_page() {
    let scene = Scene::new(true).await;
    let house = &scene.house;
    let cookie = house.signed_in(&house.ada).await;
    let save = async |code: &str| {
        house
            .post("/settings/user-code", &cookie, &[("user_code", code)])
            .await
    };
    let short = save("123").await;
    assert_eq!(short.status, 422);
    assert!(short.body.contains("4 to 64 characters"));
    let saved = save("1234 blue").await;
    assert_eq!(
        (saved.status, saved.location()),
        (303, "/settings?changed=code")
    );
    let page = house.get("/settings?changed=code", &cookie).await;
    assert!(page.body.contains("Your code was saved."));
    assert!(!page.body.contains("1234 blue"));
    assert_eq!(scene.ask(Some("1234 blue")).await.status, 200);
    save("").await;
    let page = house.get("/settings?changed=code", &cookie).await;
    assert!(page.body.contains("No code is needed any more."));
    assert_eq!(scene.ask(None).await.status, 200);
}
