//! Clients, for admins. A secret is shown once, when it is made.

use leptos::prelude::*;

use super::{Asked, in_console};
use crate::api::Problem;
use crate::api::admin::{ClientRow, ssr};
use crate::context::{FormState, FreshSecret};
use crate::parts::{
    CopyButton, Field, Icon, check, copyable, empty, form_banner, icon, mark, select, status,
    text_area, text_field, when,
};
use crate::shell::{Head, Place};
use crate::words::{t, tv};

/// Grant types as they are posted, and the keys of their words.
const GRANTS: [(&str, &str); 6] = [
    ("authorization_code", "grant-code"),
    ("refresh_token", "grant-refresh"),
    ("urn:openid:params:grant-type:ciba", "grant-ciba"),
    (
        "urn:ietf:params:oauth:grant-type:device_code",
        "grant-device",
    ),
    (
        "urn:ietf:params:oauth:grant-type:token-exchange",
        "grant-exchange",
    ),
    ("client_credentials", "grant-credentials"),
];

pub fn page() -> AnyView {
    in_console(|asked| {
        let fresh = use_context::<FreshSecret>();
        draw(asked, fresh)
    })
}

async fn draw(asked: Asked, fresh: Option<FreshSecret>) -> Result<(Head, AnyView), Problem> {
    let clients = ssr::clients(&asked.seen).await?;
    let head = Head::new(Place::Clients, t("clients-title"), t("clients-lede")).action(
        view! {
            <a class="button primary" href="#register">
                {icon(Icon::Plus)}
                {t("clients-register")}
            </a>
        }
        .into_any(),
    );
    let list = if clients.is_empty() {
        empty(
            Icon::Clients,
            t("clients-empty-title"),
            t("clients-empty-text"),
            Some(("#register", t("clients-register"))),
        )
    } else {
        let rows = clients
            .iter()
            .map(|client| view! { <li>{row(client)}</li> })
            .collect_view();
        view! { <ul class="card rows">{rows}</ul> }.into_any()
    };
    let body = view! {
        {form_banner(&asked.form)}
        {fresh.map(secret)}
        {list}
        {register(&asked.form)}
    }
    .into_any();
    Ok((head, body))
}

fn secret(fresh: FreshSecret) -> AnyView {
    view! {
        <div class="banner good" role="status">
            {icon(Icon::Tick)} <div class="form">
                <p>
                    <strong>{tv("secret-title", &[("client", &fresh.client_id)])}</strong>
                </p>
                <p class="muted">{t("secret-text")}</p>
                <p class="secret">
                    <code>{fresh.secret.clone()}</code>
                    <CopyButton text=fresh.secret label=t("copy-secret") done_label=t("copied") />
                </p>
            </div>
        </div>
    }
    .into_any()
}

fn row(client: &ClientRow) -> AnyView {
    let hidden = format!(" {}", client.name);
    let (state, words, class) = if client.frozen {
        ("active", t("client-thaw"), "button small")
    } else {
        ("frozen", t("client-freeze"), "button small danger")
    };
    let new_secret = (client.confidential && !client.embedded).then(|| {
        view! {
            <form method="post" action=format!("/admin/clients/{}/secret", client.id)>
                <button class="button small" type="submit">
                    {t("client-new-secret")}
                    <span class="visually-hidden">{hidden.clone()}</span>
                </button>
            </form>
        }
    });
    let grants = client
        .grants
        .iter()
        .map(|words| view! { <span class="tag">{words.clone()}</span> })
        .collect_view();
    view! {
        <article class="account">
            {mark(if client.embedded { "agent" } else { "client" }, "")}
            <div class="account-head">
                <h2 class="row-title">
                    {client.name.clone()}
                    {client
                        .embedded
                        .then(|| view! { <span class="tag accent">{t("client-embedded")}</span> })}
                </h2>
                <p class="row-text">
                    {copyable(&client.id)} " · " {t("column-since")} " " {when(&client.since)}
                </p>
            </div>
            {status(&client.status)}
            <div class="account-more">
                <p class="row-text">
                    {if client.confidential { t("kind-confidential") } else { t("kind-public") }}
                    " · " {client.mode.clone()}
                </p>
                <p class="tags">{grants}</p>
                <div class="actions">
                    {new_secret}
                    <form method="post" action=format!("/admin/clients/{}/state", client.id)>
                        <button class=class type="submit" name="state" value=state>
                            {words}
                            <span class="visually-hidden">{hidden}</span>
                        </button>
                    </form>
                </div>
            </div>
        </article>
    }
    .into_any()
}

fn register(form: &FormState) -> AnyView {
    let again = !form.errors.is_empty();
    let chosen = form.value("grant_types");
    let grants = GRANTS
        .into_iter()
        .map(|(value, words)| {
            let on = if again {
                chosen.split_whitespace().any(|one| one == value)
            } else {
                value != "client_credentials"
            };
            check("grant_types", value, t(words), None, on)
        })
        .collect_view();
    view! {
        <section class="section" id="register">
            <div class="section-head">
                <h2>{t("clients-register")}</h2>
                <p>{t("clients-register-text")}</p>
            </div>
            <form class="card padded form" method="post" action="/admin/clients">
                {text_field(
                    form,
                    Field {
                        name: "name",
                        label: "field-name",
                        hint: Some("client-name-hint"),
                        kind: "text",
                        autocomplete: "off",
                        required: true,
                        ..Field::default()
                    },
                )}
                {select(
                    form,
                    Field {
                        name: "kind",
                        label: "client-kind",
                        ..Field::default()
                    },
                    vec![
                        ("confidential".to_owned(), t("kind-confidential")),
                        ("public".to_owned(), t("kind-public")),
                    ],
                )}
                {select(
                    form,
                    Field {
                        name: "access_mode",
                        label: "client-mode",
                        hint: Some("client-mode-hint"),
                        ..Field::default()
                    },
                    vec![
                        ("call".to_owned(), t("mode-call")),
                        ("release".to_owned(), t("mode-release")),
                        ("none".to_owned(), t("mode-none")),
                    ],
                )}
                <fieldset class="form">
                    <legend class="field-name">{t("client-grants")}</legend>
                    {grants}
                    {form
                        .error("grant_types")
                        .map(|words| {
                            view! { <p class="field-error">{icon(Icon::Warning)} {words}</p> }
                        })}
                </fieldset>
                {text_area(
                    form,
                    Field {
                        name: "redirect_uris",
                        label: "client-redirects",
                        hint: Some("client-redirects-hint"),
                        placeholder: "https://agent.example/callback",
                        ..Field::default()
                    },
                )}
                {text_area(
                    form,
                    Field {
                        name: "audiences",
                        label: "client-audiences",
                        hint: Some("client-audiences-hint"),
                        placeholder: "https://api.example",
                        ..Field::default()
                    },
                )}
                <p class="actions">
                    <button class="button primary" type="submit">
                        {t("clients-register")}
                    </button>
                </p>
            </form>
        </section>
    }
    .into_any()
}
