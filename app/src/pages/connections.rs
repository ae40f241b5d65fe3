//! Connections, for admins. A provider's secret goes in and never comes out.

use leptos::prelude::*;

use super::accounts::ticks;
use super::{Asked, in_console};
use crate::api::Problem;
use crate::api::admin::{ConnectionRow, ssr};
use crate::context::FormState;
use crate::parts::{
    Field, Icon, copyable, empty, form_banner, icon, mark, select, status, text_field,
};
use crate::shell::{Head, Place};
use crate::words::{t, tv};

pub fn page() -> AnyView {
    in_console(draw)
}

async fn draw(asked: Asked) -> Result<(Head, AnyView), Problem> {
    let connections = ssr::connections(&asked.seen).await?;
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
        {add(&asked.form)}
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
            <div class="account-more">{ticks(&connection.scopes)} {tried}</div>
        </article>
    }
    .into_any()
}

fn add(form: &FormState) -> AnyView {
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
                    ssr::catalogue(),
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
