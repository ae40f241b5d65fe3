//! The person's own page.

use leptos::prelude::*;

use super::{Asked, in_console};
use crate::api::{Problem, Tone};
use crate::parts::{Field, banner, copyable, facts, form_banner, text_field};
use crate::shell::{Head, Place};
use crate::words::t;

pub fn page() -> AnyView {
    in_console(draw)
}

async fn draw(asked: Asked) -> Result<(Head, AnyView), Problem> {
    let viewer = &asked.seen.viewer;
    let role = if viewer.admin {
        t("role-admin")
    } else {
        t("role-person")
    };
    let head = Head::new(Place::Settings, t("settings-title"), t("settings-lede")).narrow();
    let has_code = has_code(&asked).await?;
    let saved = match asked.query("changed").as_str() {
        "password" => Some(t("password-changed")),
        "code" if has_code => Some(t("user-code-saved")),
        "code" => Some(t("user-code-removed")),
        _ => None,
    };
    let code_text = if has_code {
        t("user-code-some")
    } else {
        t("user-code-none")
    };
    let body = view! {
        {form_banner(&asked.form)}
        {saved.map(|words| banner(Tone::Good, words, None, None))}
        <section class="card padded">
            {facts(
                vec![
                    (t("field-name"), viewer.name.clone().into_any()),
                    (t("field-email"), viewer.email.clone().into_any()),
                    (t("field-role"), role.into_any()),
                    (t("settings-id"), copyable(&viewer.person_id)),
                ],
            )}
        </section>
        <section class="section">
            <div class="section-head">
                <h2>{t("password-title")}</h2>
                <p>{t("password-text")}</p>
            </div>
            <form class="card padded form" method="post" action="/settings/password">
                {text_field(
                    &asked.form,
                    Field {
                        name: "current_password",
                        label: "password-current",
                        kind: "password",
                        autocomplete: "current-password",
                        required: true,
                        ..Field::default()
                    },
                )}
                {text_field(
                    &asked.form,
                    Field {
                        name: "new_password",
                        label: "password-new",
                        hint: Some("password-new-hint"),
                        kind: "password",
                        autocomplete: "new-password",
                        required: true,
                        ..Field::default()
                    },
                )}
                <p class="actions">
                    <button class="button" type="submit">
                        {t("password-button")}
                    </button>
                </p>
            </form>
        </section>
        <section class="section">
            <div class="section-head">
                <h2>{t("user-code-title")}</h2>
                <p>{code_text}</p>
            </div>
            <form class="card padded form" method="post" action="/settings/user-code">
                {text_field(
                    &asked.form,
                    Field {
                        name: "user_code",
                        label: "user-code-label",
                        hint: Some("user-code-hint"),
                        kind: "password",
                        autocomplete: "off",
                        ..Field::default()
                    },
                )}
                <p class="actions">
                    <button class="button" type="submit">
                        {t("user-code-button")}
                    </button>
                </p>
            </form>
        </section>
        <section class="section">
            <div class="section-head">
                <h2>{t("settings-session")}</h2>
                <p>{t("settings-session-text")}</p>
            </div>
            <form method="post" action="/sign-out">
                <button class="button" type="submit">{t("nav-sign-out")}</button>
            </form>
        </section>
    }
    .into_any();
    Ok((head, body))
}

/// Whether the person has a user code.
async fn has_code(asked: &Asked) -> Result<bool, Problem> {
    let seen = &asked.seen;
    Ok(domain::identity::user_code::has(&seen.engine, &seen.viewer.person_id).await?)
}
