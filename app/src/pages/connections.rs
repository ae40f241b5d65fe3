//! Connections, for admins. A provider's secret goes in and never comes out.

use leptos::prelude::*;

use super::accounts::ticks;
use super::{Asked, in_console};
use crate::api::Problem;
use crate::api::admin::{ConnectionRow, ProviderRow, ssr};
use crate::context::FormState;
use crate::parts::{
    Field, Icon, copyable, empty, form_banner, icon, mark, select, status, text_area, text_field,
};
use crate::shell::{Head, Place};
use crate::words::{t, tv};

pub fn page() -> AnyView {
    in_console(draw)
}

async fn draw(asked: Asked) -> Result<(Head, AnyView), Problem> {
    let connections = ssr::connections(&asked.seen).await?;
    let catalogue = ssr::catalogue(&asked.seen).await?;
    let list = if connections.is_empty() {
        empty(
            Icon::Connections,
            t("connections-empty-title"),
            t("connections-empty-text"),
            Some(("#add", t("connections-add"))),
        )
    } else {
        let rows = connections
            .iter()
            .map(|connection| view! { <li>{row(connection)}</li> })
            .collect_view();
        view! { <ul class="card rows">{rows}</ul> }.into_any()
    };
    let head = Head::new(
        Place::Connections,
        t("connections-title"),
        t("connections-lede"),
    )
    .action(
        view! {
            <a class="button primary" href="#add">
                {icon(Icon::Plus)}
                {t("connections-add")}
            </a>
        }
        .into_any(),
    );
    let body = view! {
        {form_banner(&asked.form)}
        {list}
        {add(&asked.form, &catalogue)}
        {providers(&asked.form, &catalogue)}
    }
    .into_any();
    Ok((head, body))
}

fn row(connection: &ConnectionRow) -> AnyView {
    let tried = (connection.tried != "real").then(|| {
        view! {
            <p class="row-text">{tv("connection-tried", &[("tried", &connection.tried)])}</p>
        }
    });
    let settings = (!connection.settings.is_empty()).then(|| {
        let settings = connection.settings.join(" ");
        view! {
            <p class="row-text">
                {tv("connection-settings-are", &[("settings", &settings)])}
            </p>
        }
    });
    view! {
        <article class="account">
            {mark(&connection.provider, "")}
            <div class="account-head">
                <h2 class="row-title">
                    <code>{connection.id.clone()}</code>
                </h2>
                <p class="row-text">
                    {connection.provider_name.clone()} " · " {t("connection-client-id")} " "
                    {copyable(&connection.client_id)}
                </p>
            </div>
            {status(&connection.status)}
            <div class="account-more">{ticks(&connection.scopes)} {settings} {tried}</div>
        </article>
    }
    .into_any()
}

fn add(form: &FormState, catalogue: &[ProviderRow]) -> AnyView {
    let options = catalogue
        .iter()
        .map(|provider| {
            let words = if provider.own {
                tv("provider-of-own", &[("name", &provider.name)])
            } else {
                provider.name.clone()
            };
            (provider.id.clone(), words)
        })
        .collect();
    let settings = catalogue
        .iter()
        .flat_map(|provider| {
            provider.settings.iter().map(|(name, words)| {
                let facts = [
                    ("provider", provider.name.as_str()),
                    ("name", name),
                    ("words", words),
                ];
                view! { <li>{tv("provider-setting", &facts)}</li> }
            })
        })
        .collect_view();
    view! {
        <section class="section" id="add">
            <div class="section-head">
                <h2>{t("connections-add")}</h2>
                <p>{t("connections-add-text")}</p>
            </div>
            <form
                class="card padded form"
                method="post"
                action="/admin/connections"
                autocomplete="off"
            >
                {select(
                    form,
                    Field {
                        name: "provider",
                        label: "account-provider",
                        ..Field::default()
                    },
                    options,
                )}
                {text_field(
                    form,
                    Field {
                        name: "id",
                        label: "connection-name",
                        hint: Some("connection-name-hint"),
                        kind: "text",
                        autocomplete: "off",
                        required: true,
                        placeholder: "sign-in-with-slack",
                    },
                )}
                {text_field(
                    form,
                    Field {
                        name: "client_id",
                        label: "connection-client-id",
                        hint: Some("connection-client-id-hint"),
                        kind: "text",
                        autocomplete: "off",
                        required: true,
                        ..Field::default()
                    },
                )}
                {text_field(
                    form,
                    Field {
                        name: "client_secret",
                        label: "connection-secret",
                        hint: Some("connection-secret-hint"),
                        kind: "password",
                        autocomplete: "off",
                        required: true,
                        ..Field::default()
                    },
                )}
                {text_field(
                    form,
                    Field {
                        name: "scopes",
                        label: "connection-scopes",
                        hint: Some("connection-scopes-hint"),
                        kind: "text",
                        autocomplete: "off",
                        ..Field::default()
                    },
                )}
                {text_field(
                    form,
                    Field {
                        name: "settings",
                        label: "connection-settings",
                        hint: Some("connection-settings-hint"),
                        kind: "text",
                        autocomplete: "off",
                        ..Field::default()
                    },
                )}
                <ul class="muted">{settings}</ul>
                <p class="actions">
                    <button class="button primary" type="submit">
                        {t("connections-add")}
                    </button>
                </p>
            </form>
        </section>
    }
    .into_any()
}

fn providers(form: &FormState, catalogue: &[ProviderRow]) -> AnyView {
    let own: Vec<_> = catalogue.iter().filter(|provider| provider.own).collect();
    let list = (!own.is_empty()).then(|| {
        let rows = own
            .into_iter()
            .map(|provider| view! { <li>{provider_row(provider)}</li> })
            .collect_view();
        view! {
            <section class="section">
                <div class="section-head">
                    <h2>{t("providers-own-title")}</h2>
                    <p>{t("providers-own-text")}</p>
                </div>
                <ul class="card rows">{rows}</ul>
            </section>
        }
    });
    view! {
        {list}
        <section class="section" id="add-provider">
            <div class="section-head">
                <h2>{t("provider-add")}</h2>
                <p>{t("provider-add-text")}</p>
            </div>
            {provider_form(form)}
        </section>
    }
    .into_any()
}

fn provider_row(provider: &ProviderRow) -> AnyView {
    let remove = provider.removable.then(|| {
        let action = format!("/admin/providers/{}/remove", provider.id);
        let label = tv("provider-remove-label", &[("provider", &provider.name)]);
        view! {
            <form method="post" action=action>
                <button class="button" type="submit" aria-label=label>
                    {t("provider-remove")}
                </button>
            </form>
        }
    });
    view! {
        <article class="account">
            {mark(&provider.id, "")}
            <div class="account-head">
                <h2 class="row-title">{provider.name.clone()}</h2>
                <p class="row-text">
                    <code>{provider.id.clone()}</code>
                    " · "
                    {tv("providers-own-goes-to", &[("origin", &provider.goes_to)])}
                </p>
            </div>
            {remove}
        </article>
    }
    .into_any()
}

/// A line of the form; only an OAuth 2 provider needs the addresses, so the
/// browser insists on nothing but id, name and API.
fn line(
    form: &FormState,
    name: &'static str,
    label: &'static str,
    hint: Option<&'static str>,
    placeholder: &'static str,
) -> AnyView {
    text_field(
        form,
        Field {
            name,
            label,
            hint,
            kind: "text",
            autocomplete: "off",
            required: matches!(name, "provider_id" | "provider_name" | "api"),
            placeholder,
        },
    )
}

fn provider_form(form: &FormState) -> AnyView {
    let choice = |pairs: &[(&str, &str)]| {
        pairs
            .iter()
            .map(|(value, key)| ((*value).to_owned(), t(key)))
            .collect()
    };
    let auth = choice(&[
        ("basic", "provider-auth-basic"),
        ("post", "provider-auth-post"),
    ]);
    let refresh = choice(&[
        ("rotates_strictly", "provider-refresh-unknown"),
        ("keeps", "provider-refresh-keeps"),
        ("rotates", "provider-refresh-rotates"),
        ("none", "provider-refresh-none"),
    ]);
    let select_of = |name, label, options| {
        select(
            form,
            Field {
                name,
                label,
                ..Field::default()
            },
            options,
        )
    };
    let scopes = Field {
        name: "provider_scopes",
        label: "provider-scopes",
        hint: Some("provider-scopes-hint"),
        placeholder: "projects.read See your projects",
        ..Field::default()
    };
    view! {
        <form
            class="card padded form"
            method="post"
            action="/admin/providers#add-provider"
            autocomplete="off"
        >
            {line(form, "provider_name", "provider-name", Some("provider-name-hint"), "Acme")}
            {line(form, "provider_id", "provider-id", Some("provider-id-hint"), "acme")}
            {line(form, "api", "provider-api", Some("provider-api-hint"), "https://api.acme.example")}
            {line(form, "issuer", "provider-issuer", Some("provider-issuer-hint"), "https://acme.example")}
            {line(form, "authorize", "provider-authorize", None, "https://acme.example/authorize")}
            {line(form, "token", "provider-token", None, "https://acme.example/token")}
            {line(form, "revoke", "provider-revoke", Some("provider-revoke-hint"), "")}
            {line(form, "identity", "provider-identity", Some("provider-identity-hint"), "https://api.acme.example/me")}
            {line(form, "subject", "provider-subject", Some("provider-subject-hint"), "/id")}
            {line(form, "label", "provider-label", Some("provider-label-hint"), "/email")}
            {line(form, "docs", "provider-docs", Some("provider-docs-hint"), "")}
            {select_of("client_auth", "provider-client-auth", auth)}
            {select_of("refresh", "provider-refresh", refresh)}
            {text_area(form, scopes)}
            <p class="actions">
                <button class="button primary" type="submit">
                    {t("provider-add-button")}
                </button>
            </p>
        </form>
    }
    .into_any()
}
