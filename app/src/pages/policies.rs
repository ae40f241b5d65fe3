//! Policies, for admins.

use leptos::prelude::*;

use super::{Asked, in_console};
use crate::api::Problem;
use crate::api::policies::{PolicyChoices, PolicyRow, ssr};
use crate::context::FormState;
use crate::parts::{Field, Icon, check, empty, form_banner, icon, select, text_area, text_field};
use crate::shell::{Head, Place};
use crate::words::{t, tv};

pub fn page() -> AnyView {
    in_console(draw)
}

async fn draw(asked: Asked) -> Result<(Head, AnyView), Problem> {
    let policies = ssr::policies(&asked.seen).await?;
    let choices = ssr::choices(&asked.seen).await?;
    let head = Head::new(Place::Policies, t("policies-title"), t("policies-lede")).action(
        view! {
            <a class="button primary" href="#approving">
                {icon(Icon::Plus)}
                {t("policies-add")}
            </a>
        }
        .into_any(),
    );
    let list = if policies.is_empty() {
        empty(
            Icon::Policies,
            t("policies-empty-title"),
            t("policies-empty-text"),
            Some(("#approving", t("policies-add"))),
        )
    } else {
        let rows = policies
            .iter()
            .map(|policy| view! { <li>{row(policy)}</li> })
            .collect_view();
        view! { <ul class="card rows">{rows}</ul> }.into_any()
    };
    let body = view! {
        {form_banner(&asked.form)}
        {list}
        {approving(&asked.form, &choices)}
        {(!choices.connections.is_empty()).then(|| calling(&asked.form, &choices))}
    }
    .into_any();
    Ok((head, body))
}

fn row(policy: &PolicyRow) -> AnyView {
    let asks = policy
        .asks
        .iter()
        .map(|words| view! { <span class="tag">{words.clone()}</span> })
        .collect_view();
    let remove = policy.removable.then(|| {
        let action = format!("/admin/policies/{}/remove", policy.id);
        let label = tv("policy-remove-label", &[("name", &policy.name)]);
        view! {
            <form method="post" action=action>
                <button class="button small danger" type="submit" aria-label=label>
                    {t("policy-remove")}
                </button>
            </form>
        }
    });
    let of_file =
        (!policy.removable).then(|| view! { <p class="row-text">{t("policies-of-file")}</p> });
    view! {
        <article class="account">
            <span class="mark">{icon(Icon::Policies)}</span>
            <div class="account-head">
                <h2 class="row-title">{policy.name.clone()}</h2>
                <p class="row-text">{policy.about.clone()}</p>
            </div>
            {remove}
            <div class="account-more">
                <p class="tags">{asks}</p>
                <p class="row-text">{policy.past.clone()}</p>
                {of_file}
            </div>
        </article>
    }
    .into_any()
}

fn line(
    form: &FormState,
    name: &'static str,
    label: &'static str,
    hint: &'static str,
    required: bool,
    placeholder: &'static str,
) -> AnyView {
    text_field(
        form,
        Field {
            name,
            label,
            hint: Some(hint),
            kind: "text",
            autocomplete: "off",
            required,
            placeholder,
        },
    )
}

fn choice(
    form: &FormState,
    name: &'static str,
    label: &'static str,
    options: Vec<(String, String)>,
) -> AnyView {
    let field = Field {
        name,
        label,
        ..Field::default()
    };
    select(form, field, options)
}

fn clients(choices: &PolicyChoices) -> Vec<(String, String)> {
    let any = (String::new(), t("policy-for-all"));
    std::iter::once(any)
        .chain(choices.clients.iter().cloned())
        .collect()
}

fn buttons() -> AnyView {
    view! {
        <p class="actions">
            <button class="button primary" type="submit" name="do" value="add">
                {t("policies-add")}
            </button>
            <button class="button" type="submit" name="do" value="try">
                {t("policy-try")}
            </button>
        </p>
    }
    .into_any()
}

fn approving(form: &FormState, choices: &PolicyChoices) -> AnyView {
    let types = std::iter::once((String::new(), t("policy-any-type")))
        .chain(
            choices
                .types
                .iter()
                .map(|name| (name.clone(), name.clone())),
        )
        .collect();
    let passkeys = ssr::PASSKEYS
        .iter()
        .map(|(demand, key)| (demand.word().to_owned(), t(key)))
        .collect();
    let ticked = |name: &'static str, key, hint| {
        let on = !form.value(name).is_empty();
        check(name, "on", t(key), Some(t(hint)), on)
    };
    view! {
        <section class="section" id="approving">
            <div class="section-head">
                <h2>{t("policy-approving")}</h2>
                <p>{t("policy-approving-text")}</p>
            </div>
            <form
                class="card padded form"
                method="post"
                action="/admin/policies/approving"
                autocomplete="off"
            >
                {line(form, "name", "field-name", "policy-name-hint", true, "")}
                {choice(form, "details_type", "policy-type", types)}
                {choice(form, "client", "policy-client", clients(choices))}
                {choice(form, "passkey", "policy-passkey", passkeys)}
                {ticked("match_number", "policy-number", "policy-number-hint")}
                {ticked("forbidden", "policy-forbidden", "policy-forbidden-hint")}
                {text_area(
                    form,
                    Field {
                        name: "approvers",
                        label: "policy-approvers",
                        hint: Some("policy-approvers-hint"),
                        ..Field::default()
                    },
                )}
                {text_field(
                    form,
                    Field {
                        name: "needed",
                        label: "policy-needed",
                        kind: "number",
                        autocomplete: "off",
                        placeholder: "1",
                        ..Field::default()
                    },
                )}
                {buttons()}
            </form>
        </section>
    }
    .into_any()
}

fn calling(form: &FormState, choices: &PolicyChoices) -> AnyView {
    let connections = choices
        .connections
        .iter()
        .map(|name| (name.clone(), name.clone()))
        .collect();
    view! {
        <section class="section" id="calling">
            <div class="section-head">
                <h2>{t("policy-calling")}</h2>
                <p>{t("policy-calling-text")}</p>
            </div>
            <form
                class="card padded form"
                method="post"
                action="/admin/policies/calling"
                autocomplete="off"
            >
                {line(form, "call_name", "field-name", "policy-name-hint", true, "")}
                {choice(form, "connection", "policy-connection", connections)}
                {line(form, "methods", "policy-methods", "policy-methods-hint", false, "")}
                {line(form, "path", "policy-path", "policy-path-hint", true, "/chat.postMessage")}
                {choice(form, "call_client", "policy-client", clients(choices))}
                {buttons()}
            </form>
        </section>
    }
    .into_any()
}
