//! Providers that an admin adds in the console; here the provider is another Attorn.

use attorn_server::config::Config;
use attorn_server::serve;
use domain::vault::connections;

use crate::house::House;

const PAGE: &str = "/admin/connections";
const COUNT: &str = "select count(*) as n from providers";

struct Desk {
    house: House,
    cookie: String,
}

impl Desk {
    async fn new() -> Self {
        let house = House::open().await;
        let admin = house.bench.admin("root@example.com").await;
        let cookie = house.signed_in(&admin).await;
        Self { house, cookie }
    }

    async fn add(&self, fields: &[(&str, &str)]) -> crate::house::Answer {
        self.house
            .post("/admin/providers", &self.cookie, fields)
            .await
    }
}

const OAUTH: [(&str, &str); 13] = [
    ("provider_id", "acme"),
    ("provider_name", "Acme Projects"),
    ("api", "https://api.acme.example/v1"),
    ("issuer", ""),
    ("authorize", "https://acme.example/authorize"),
    ("token", "https://acme.example/token"),
    ("revoke", ""),
    ("identity", "https://api.acme.example/v1/me"),
    ("subject", "/id"),
    ("label", "/email"),
    ("docs", "https://acme.example/docs"),
    ("client_auth", "post"),
    ("refresh", "keeps"),
];

fn with<'a>(name: &str, value: &'a str) -> Vec<(&'static str, &'a str)> {
    let mut fields: Vec<(&str, &str)> = OAUTH.to_vec();
    fields.push(("provider_scopes", "projects.read See your projects"));
    for field in &mut fields {
        if field.0 == name {
            field.1 = value;
        }
    }
    fields
}

#[tokio::test]
async fn an_admin_adds_a_provider_uses_it_and_takes_it_out() {
    let desk = Desk::new().await;
    let added = desk.add(&with("", "")).await;
    assert_eq!(
        (added.status, added.location()),
        (303, PAGE),
        "{}",
        added.body
    );
    let page = desk.house.get(PAGE, &desk.cookie).await;
    assert!(page.body.contains("Acme Projects"), "{}", page.body);
    assert!(page.body.contains("https://acme.example"));
    let connected = [
        ("id", "our-projects"),
        ("provider", "acme"),
        ("client_id", "us"),
        ("client_secret", "secret"),
    ];
    let answer = desk.house.post(PAGE, &desk.cookie, &connected).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    let page = desk.house.get(PAGE, &desk.cookie).await;
    assert!(page.body.contains("See your projects"), "scopes in words");
    assert!(
        page.body
            .contains("This version has run against: unverified")
    );
    // People read its name and its words too, and the link page may lead there.
    let cookie = desk.house.signed_in(&desk.house.ada).await;
    let link = desk.house.get("/accounts/link/our-projects", &cookie).await;
    assert!(link.body.contains("Acme Projects"), "{}", link.body);
    assert!(
        link.header("content-security-policy")
            .contains("https://acme.example")
    );
    // In use it stays.
    let remove = "/admin/providers/acme/remove";
    let answer = desk.house.post(remove, &desk.cookie, &[]).await;
    assert_eq!(answer.status, 422, "{}", answer.body);
    assert!(answer.body.contains("our-projects"));
    let other = desk.add(&with("provider_id", "other")).await;
    assert_eq!(other.status, 303);
    let answer = desk
        .house
        .post("/admin/providers/other/remove", &desk.cookie, &[])
        .await;
    assert_eq!((answer.status, answer.location()), (303, PAGE));
    assert_eq!(desk.house.count(COUNT).await, 1);
    for kind in ["provider.added", "provider.removed"] {
        let sql = match kind {
            "provider.added" => "select count(*) as n from events where kind = 'provider.added'",
            _ => "select count(*) as n from events where kind = 'provider.removed'",
        };
        assert!(desk.house.count(sql).await > 0, "{kind}");
    }
}

#[tokio::test]
async fn what_is_wrong_is_told_beside_its_field_and_what_was_typed_is_kept() {
    let desk = Desk::new().await;
    for (field, value, sentence) in [
        ("token", "acme.example/token", "Give an address"),
        ("token", "http://acme.example/token", "is not https"),
        (
            "identity",
            "https://evil.example/me",
            "the domain evil.example",
        ),
        ("subject", "id", "no JSON pointer"),
        ("provider_scopes", "projects.read", "what it allows"),
        (
            "provider_scopes",
            "projects.read see all",
            "is not put in words",
        ),
        ("provider_id", "slack", "already"),
        ("refresh", "sometimes", "Choose one"),
        ("issuer", "http://acme.example", "not an https address"),
        ("issuer", "https://10.0.0.1", "cannot be had"),
    ] {
        let answer = desk.add(&with(field, value)).await;
        assert_eq!(answer.status, 422, "{field} {value}");
        assert!(
            answer.body.contains(sentence),
            "{field} {value}: {}",
            answer.body
        );
        assert!(answer.body.contains("Acme Projects"), "kept");
    }
    assert_eq!(desk.house.count(COUNT).await, 0);
}

#[tokio::test]
async fn an_openid_provider_needs_its_issuer_only() {
    let desk = Desk::new().await;
    let upstream = House::open().await;
    let fields = [
        ("provider_id", "another-attorn"),
        ("provider_name", "Another Attorn"),
        ("api", "https://api.acme.example"),
        ("issuer", upstream.issuer()),
        ("refresh", "rotates_strictly"),
        ("client_auth", "basic"),
    ];
    let added = desk.add(&fields).await;
    assert_eq!(added.status, 303, "{}", added.body);
    let entry = domain::vault::own::entry(&desk.house.bench, "another-attorn")
        .await
        .unwrap()
        .unwrap();
    assert!(entry.token.as_str().starts_with(upstream.issuer()));
    assert_eq!(entry.id_token.as_ref().unwrap().issuer, upstream.issuer());
    assert!(entry.pkce);
}

#[tokio::test]
async fn a_connection_takes_settings_of_its_provider_and_no_others() {
    let desk = Desk::new().await;
    let connect = |provider: &'static str, settings: &'static str| {
        let fields = [
            ("id", "work"),
            ("provider", provider),
            ("client_id", "us"),
            ("client_secret", "secret"),
            ("settings", settings),
        ];
        let desk = &desk;
        async move { desk.house.post(PAGE, &desk.cookie, &fields).await }
    };
    for (provider, settings) in [
        ("microsoft", "contoso.com"),
        ("microsoft", "host=contoso.com"),
        ("microsoft", "tenant=../evil"),
        ("salesforce", "host=evil.example"),
    ] {
        let answer = connect(provider, settings).await;
        assert_eq!(answer.status, 422, "{settings}");
    }
    let answer = connect("microsoft", "tenant=contoso.com").await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    let page = desk.house.get(PAGE, &desk.cookie).await;
    assert!(page.body.contains("tenant=contoso.com"));
    let connection = domain::vault::connections::get(&desk.house.bench, "work")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        connection.entry().token.as_str(),
        "https://login.microsoftonline.com/contoso.com/oauth2/v2.0/token"
    );
}

#[tokio::test]
async fn the_configuration_file_adds_providers_before_its_connections() {
    let house = House::open().await;
    let upstream = House::open().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("attorn.toml");
    let file = |name: &str, token: &str| {
        format!(
            r#"
            [[providers]]
            id = "intranet"
            name = "{name}"
            source_page = "https://intranet.example/docs"
            tried = "real"
            authorize = "https://intranet.example/authorize"
            token = "{token}"
            client_auth = "basic"
            hosts = [{{ name = "intranet.example", base = "https://intranet.example/api" }}]
            identity = {{ from = "endpoint", url = "https://intranet.example/me", subject = "/id", label = ["/mail"] }}
            refresh = {{ rule = "keeps", absent_expiry = "never" }}

            [[openid_providers]]
            id = "work"
            name = "Work"
            issuer = "{}"
            api = "https://api.example"

            [[connections]]
            id = "intranet"
            provider = "intranet"
            client_id = "us"
            client_secret = "secret"

            [[connections]]
            id = "at-work"
            provider = "work"
            client_id = "us"
            client_secret = "secret"
            "#,
            upstream.issuer()
        )
    };
    let start = async |text: String| {
        std::fs::write(&path, text).unwrap();
        let (config, _) = Config::load(Some(&path), std::iter::empty())
            .map_err(|error| error.0)
            .ok()
            .unwrap();
        serve::connections(&house.bench, &config)
            .await
            .map_err(|error| error.0)
    };
    let good = "https://intranet.example/token";
    start(file("Intranet", good)).await.unwrap();
    // A second start changes nothing, another name does.
    start(file("Intranet", good)).await.unwrap();
    start(file("Our intranet", good)).await.unwrap();
    let connection = connections::get(&house.bench, "intranet")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(connection.entry().name, "Our intranet");
    assert_eq!(connection.entry().tried, "unverified");
    let added =
        "select count(*) as n from events where kind in ('provider.added', 'provider.changed')";
    assert_eq!(house.count(added).await, 3);
    let moved = start(file("Our intranet", "https://elsewhere.example/token")).await;
    let sentence = moved.unwrap_err();
    assert!(sentence.starts_with("provider intranet:"), "{sentence}");
}
