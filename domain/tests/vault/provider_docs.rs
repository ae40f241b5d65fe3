//! `docs/providers.md` says what the catalogue says. After a change of the
//! catalogue: `ATTORN_WRITE_DOCS=1 cargo test -p domain --test vault provider_docs`.

use std::fmt::Write as _;

use domain::vault::providers::{
    AbsentExpiry, IdentityFrom, Part, Provider, Reach, RefreshClass, catalogue,
};

const HEAD: &str = "\
# Providers

What Attorn knows of each provider, made from `domain/src/vault/providers.toml` by the test in
`domain/tests/vault/provider_docs.rs`. *Tried against* says where an entry has run: `sandbox` is the lookalike in this
repository, `emulate` the npm package of that name, `real` the service itself; `unverified` entries have run against
answers written after the provider's documentation only.

Check an entry with `attorn provider check FILE` or `attorn provider check ID`.

A provider that is not here can be added in the console (Connections, *Add a provider of your own*) or in the
configuration file: `[[providers]]` takes an entry with the fields of `providers.toml`, `[[openid_providers]]` an
issuer. Such entries are always `unverified`. What an admin types in the console is called only where it is a public
address, and answers of its API are limited to 256 KiB; a provider inside your own network goes into the file.

```toml
[[openid_providers]]
id = \"acme\"
name = \"Acme\"
issuer = \"https://id.acme.example\"
api = \"https://api.acme.example\"
refresh = \"rotates\"
scopes = [[\"projects.read\", \"See your projects\"]]

[[connections]]
id = \"acme\"
provider = \"acme\"
client_id = \"attorn\"
client_secret_env = \"ACME_SECRET\"

[[connections]]
id = \"our-gitlab\"
provider = \"gitlab\"
client_id = \"attorn\"
client_secret_env = \"GITLAB_SECRET\"
overrides = { parameters = { host = \"git.acme.example\" } }
```
";

fn document() -> String {
    let mut out = HEAD.to_owned();
    out.push_str(
        "\n## Refresh classes\n\nWhat a lost answer can cost depends on what a refresh does.\n\n",
    );
    out.push_str("| class | what a refresh does | providers |\n|---|---|---|\n");
    for class in RefreshClass::ALL {
        let names: Vec<&str> = catalogue()
            .iter()
            .filter(|entry| entry.refresh.class() == class)
            .map(|entry| entry.name.as_str())
            .collect();
        let names = if names.is_empty() {
            "none of the catalogue".to_owned()
        } else {
            names.join(", ")
        };
        let _ = writeln!(
            out,
            "| `{}` | {} | {names} |",
            class.word(),
            class.sentence()
        );
    }
    for entry in catalogue() {
        provider(&mut out, entry);
    }
    out
}

fn provider(out: &mut String, entry: &Provider) {
    let _ = writeln!(out, "\n## {}\n", entry.name);
    let rows = [
        ("id", format!("`{}`", entry.id)),
        ("source", format!("<{}>", entry.source_page)),
        ("tried against", entry.tried.clone()),
        ("API", api(entry)),
        ("who it is", identity(entry.identity.from).to_owned()),
        ("refresh", refresh(entry)),
        ("access token", access(entry)),
        ("unlinking", ending(entry)),
    ];
    out.push_str("| | |\n|---|---|\n");
    for (name, value) in rows {
        let _ = writeln!(out, "| {name} | {value} |");
    }
    for setting in &entry.parameters {
        let hosts = match setting.part {
            Part::Host if setting.allow.iter().any(|host| host == "*") => "; any host".to_owned(),
            Part::Host => format!("; also {}", setting.allow.join(", ")),
            Part::Path => String::new(),
        };
        let _ = writeln!(
            out,
            "| setting `{}` | {} (`{}` without it{hosts}) |",
            setting.name, setting.words, setting.default
        );
    }
    out.push_str("\nQuirks:\n\n");
    for quirk in &entry.quirks {
        let _ = writeln!(out, "- {quirk}");
    }
    if !entry.unsure.is_empty() {
        out.push_str("\nNot certain:\n\n");
        for sentence in &entry.unsure {
            let _ = writeln!(out, "- {sentence}");
        }
    }
    if entry.scopes.is_empty() {
        out.push_str("\nThere are no scopes.\n");
        return;
    }
    out.push_str("\n| scope | what it allows | asked for |\n|---|---|---|\n");
    for scope in &entry.scopes {
        let asked = if scope.default { "by default" } else { "" };
        let _ = writeln!(out, "| `{}` | {} | {asked} |", scope.name, scope.words);
    }
}

fn api(entry: &Provider) -> String {
    let mut places: Vec<String> = entry
        .hosts
        .iter()
        .map(|host| format!("`{}`", host.base))
        .collect();
    if let Some(instance) = &entry.instance {
        let hosts = instance.hosts.join(", ");
        places.push(format!("the account's own address ({hosts})"));
    }
    places.join(", ")
}

const fn identity(from: IdentityFrom) -> &'static str {
    match from {
        IdentityFrom::TokenAnswer => "the token answer says, and an endpoint must agree",
        IdentityFrom::Answer => "the token answer says",
        IdentityFrom::Endpoint => "an endpoint of the API says",
        IdentityFrom::AnswerUrl => "an address in the token answer says",
        IdentityFrom::IdToken => "the ID token says, once its signature was checked",
        IdentityFrom::Introspection => "the introspection endpoint says",
    }
}

fn refresh(entry: &Provider) -> String {
    let refresh = &entry.refresh;
    let mut words = vec![format!("`{}`", refresh.class().word())];
    if refresh.grace_seconds > 0 {
        words.push(format!(
            "the old token is answered for {} minutes",
            refresh.grace_seconds / 60
        ));
    }
    if refresh.ends_old_access {
        words.push("ends the access token before".to_owned());
    }
    if let Some(days) = refresh.idle_days {
        words.push(format!("lapses after {days} days without use"));
    }
    if let Some(days) = refresh.lifetime_days {
        words.push(format!("ends after {days} days"));
    }
    if let Some(limit) = refresh.token_limit {
        words.push(format!("at most {limit} for one account"));
    }
    words.join("; ")
}

fn access(entry: &Provider) -> String {
    match entry.refresh.absent_expiry {
        AbsentExpiry::Never => "without `expires_in` it is used until it is refused".to_owned(),
        AbsentExpiry::Assume => format!(
            "without `expires_in` {} minutes are assumed",
            entry.refresh.assume_seconds / 60
        ),
    }
}

fn ending(entry: &Provider) -> String {
    if entry.revoke.is_none() {
        return "cannot be told to the provider; the person ends it there".to_owned();
    }
    let reach = match entry.revocation.reach {
        Reach::Token => "ends this grant",
        Reach::Grant => "ends everything the person allowed this client",
    };
    if entry.revocation.leaves_access {
        format!("{reach}; access tokens that were given out live until they run out")
    } else {
        reach.to_owned()
    }
}

#[test]
fn the_document_says_what_the_catalogue_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/providers.md");
    let made = document();
    if std::env::var_os("ATTORN_WRITE_DOCS").is_some() {
        std::fs::write(path, &made).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        kept == made,
        "docs/providers.md is not what the catalogue says: run this test with ATTORN_WRITE_DOCS=1"
    );
}
