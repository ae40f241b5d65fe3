//! What happened, in plain words.

use leptos::prelude::*;

use super::{Asked, in_console};
use crate::api::activity::{About, ActivityRow, ssr::list};
use crate::api::{Problem, Status};
use crate::parts::{Icon, empty, icon, status, when};
use crate::shell::{Head, Place};
use crate::words::t;

pub fn page() -> AnyView {
    in_console(draw)
}

async fn draw(asked: Asked) -> Result<(Head, AnyView), Problem> {
    let about = About::of(&asked.query("about"));
    let before = asked.query("before");
    let page = list(
        &asked.seen,
        about,
        (!before.is_empty()).then_some(before.as_str()),
        50,
    )
    .await?;
    let word = About::ALL
        .into_iter()
        .find(|(known, _)| *known == about)
        .map_or("all", |(_, word)| word);
    let filters = About::ALL
        .into_iter()
        .map(|(known, word)| {
            let words = match known {
                About::All => t("about-all"),
                About::Approvals => t("about-approvals"),
                About::Uses => t("about-uses"),
                About::Accounts => t("about-accounts"),
                About::SignIns => t("about-sign-ins"),
                About::Tokens => t("about-tokens"),
            };
            view! {
                <a
                    class="button small"
                    href=format!("/activity?about={word}")
                    aria-current=(known == about).then_some("true")
                >
                    {words}
                </a>
            }
        })
        .collect_view();
    let older = page.older.map(|cursor| {
        view! {
            <p>
                <a class="button" href=format!("/activity?about={word}&before={cursor}")>
                    {t("older")}
                </a>
            </p>
        }
    });
    let list = if page.rows.is_empty() {
        empty(
            Icon::Activity,
            t("activity-empty-title"),
            if about == About::All {
                t("activity-empty-text")
            } else {
                t("activity-filtered-text")
            },
            (about != About::All).then(|| ("/activity", t("activity-show-all"))),
        )
    } else {
        days(&page.rows)
    };
    let head = Head::new(Place::Activity, t("activity-title"), t("activity-lede"));
    let body = view! {
        <nav class="actions" aria-label=t("activity-filters")>
            {filters}
        </nav>
        {list}
        {older}
    }
    .into_any();
    Ok((head, body))
}

fn days(rows: &[ActivityRow]) -> AnyView {
    rows.chunk_by(|one, next| one.day == next.day)
        .map(|rows| {
            let day = rows.first().map(|row| row.day.clone()).unwrap_or_default();
            view! {
                <section class="day">
                    <h2>{day}</h2>
                    <ul class="card rows">{rows.iter().map(event_row).collect_view()}</ul>
                </section>
            }
        })
        .collect_view()
        .into_any()
}

/// One event as a row.
pub(super) fn event_row(row: &ActivityRow) -> AnyView {
    let shape = status(&Status::new(row.tone, ""));
    let inner = view! {
        <span aria-hidden="true">{shape}</span>
        <span class="row-main">{row.words.clone()}</span>
        <span class="row-side">
            {when(&row.at)}
            {row
                .href
                .is_some()
                .then(|| view! { <span class="chevron">{icon(Icon::Chevron)}</span> })}
        </span>
    };
    match row.href.clone() {
        Some(href) => view! {
            <li>
                <a class="row" href=href>
                    {inner}
                </a>
            </li>
        }
        .into_any(),
        None => view! {
            <li>
                <div class="row">{inner}</div>
            </li>
        }
        .into_any(),
    }
}
