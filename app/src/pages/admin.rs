//! People, for admins.

use leptos::prelude::*;

use super::{Asked, in_console};
use crate::api::admin::{PersonRow, ssr};
use crate::api::{Problem, Tone};
use crate::parts::{Field, banner, form_banner, select, status, text_field, when};
use crate::shell::{Head, Place};
use crate::words::t;

pub fn people() -> AnyView {
    in_console(draw)
}

async fn draw(asked: Asked) -> Result<(Head, AnyView), Problem> {
    let people = ssr::people(&asked.seen).await?;
    let rows = people.iter().map(row).collect_view();
    let form = &asked.form;
    let head = Head::new(Place::People, t("people-title"), t("people-lede"));
    let body = view! {
        {form_banner(form)}
        {(!asked.query("created").is_empty())
            .then(|| banner(Tone::Good, t("people-created"), None, None))}
        <section class="card">
            <div class="table-wrap" tabindex="0" role="region" aria-label=t("people-title")>
                <table class="table">
                    <thead>
                        <tr>
                            <th scope="col">{t("field-name")}</th>
                            <th scope="col">{t("field-email")}</th>
                            <th scope="col">{t("field-role")}</th>
                            <th scope="col">{t("column-state")}</th>
                            <th scope="col">{t("column-since")}</th>
                            <th scope="col">
                                <span class="visually-hidden">{t("column-actions")}</span>
                            </th>
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
        </section>
        <section class="section">
            <div class="section-head">
                <h2>{t("people-add")}</h2>
            </div>
            <form class="card padded form" method="post" action="/admin/people">
                {text_field(
                    form,
                    Field {
                        name: "name",
                        label: "field-name",
                        kind: "text",
                        autocomplete: "off",
                        required: true,
                        ..Field::default()
                    },
                )}
                {text_field(
                    form,
                    Field {
                        name: "email",
                        label: "field-email",
                        kind: "email",
                        autocomplete: "off",
                        required: true,
                        ..Field::default()
                    },
                )}
                {text_field(
                    form,
                    Field {
                        name: "password",
                        label: "field-first-password",
                        hint: Some("field-first-password-hint"),
                        kind: "password",
                        autocomplete: "new-password",
                        required: true,
                        ..Field::default()
                    },
                )}
                {select(
                    form,
                    Field {
                        name: "role",
                        label: "field-role",
                        ..Field::default()
                    },
                    vec![
                        ("person".to_owned(), t("role-person")),
                        ("admin".to_owned(), t("role-admin")),
                    ],
                )}
                <p class="actions">
                    <button class="button primary" type="submit">
                        {t("people-add")}
                    </button>
                </p>
            </form>
        </section>
    }
    .into_any();
    Ok((head, body))
}

fn row(person: &PersonRow) -> AnyView {
    let (state, words, class) = if person.locked {
        ("active", t("person-unlock"), "button small")
    } else {
        ("locked", t("person-lock"), "button small danger")
    };
    let button = (!person.own).then(|| {
        view! {
            <form method="post" action=format!("/admin/people/{}/state", person.id)>
                <button class=class type="submit" name="state" value=state>
                    {words}
                    <span class="visually-hidden">{format!(" {}", person.name)}</span>
                </button>
            </form>
        }
    });
    view! {
        <tr>
            <th scope="row" data-name=t("field-name")>
                {person.name.clone()}
            </th>
            <td data-name=t("field-email")>{person.email.clone()}</td>
            <td data-name=t("field-role")>
                {if person.admin { t("role-admin") } else { t("role-person") }}
            </td>
            <td data-name=t("column-state")>{status(&person.status)}</td>
            <td data-name=t("column-since")>{when(&person.since)}</td>
            <td data-name=t("column-actions")>{button}</td>
        </tr>
    }
    .into_any()
}
