//! Approvals: those that wait, then those that were decided.

use leptos::prelude::*;

use super::{Asked, in_console};
use crate::api::Problem;
use crate::api::approvals::MuteRow;
use crate::api::approvals::ssr::{decided, mutes, pending};
use crate::parts::{Icon, PendingList, approval_row, empty, when};
use crate::shell::{Head, Place};
use crate::words::t;

pub fn page() -> AnyView {
    in_console(draw)
}

async fn draw(asked: Asked) -> Result<(Head, AnyView), Problem> {
    let waiting = pending(&asked.seen).await?;
    let past = decided(&asked.seen).await?;
    let muted = mutes(&asked.seen).await?;
    let history = if past.is_empty() {
        view! { <p class="muted">{t("approvals-no-history")}</p> }.into_any()
    } else {
        let rows = past
            .iter()
            .map(|row| view! { <li>{approval_row(row, "")}</li> })
            .collect_view();
        view! { <ul class="card rows">{rows}</ul> }.into_any()
    };
    let head = Head::new(Place::Approvals, t("approvals-title"), t("approvals-lede"));
    let body = view! {
        <section class="section">
            <div class="section-head">
                <h2>{t("approvals-waiting")}</h2>
            </div>
            <PendingList initial=waiting until=t("approval-expires") changed=t("approvals-changed")>
                {empty(
                    Icon::Approvals,
                    t("approvals-empty-title"),
                    t("approvals-empty-text"),
                    Some(("/agent", t("approvals-empty-action"))),
                )}
            </PendingList>
        </section>
        {(!muted.is_empty()).then(|| quiet(&muted))}
        <section class="section">
            <div class="section-head">
                <h2>{t("approvals-history")}</h2>
            </div>
            {history}
        </section>
    }
    .into_any();
    Ok((head, body))
}

/// Whom the person has muted, and the way back.
fn quiet(muted: &[MuteRow]) -> AnyView {
    let rows = muted
        .iter()
        .map(|mute| {
            let hidden = format!(" {}", mute.agent);
            view! {
                <li>
                    <div class="row wraps">
                        <div class="row-main">
                            <p class="row-title">
                                <span>{mute.agent.clone()}</span>
                            </p>
                            <p class="row-text">{t("mute-until")} " " {when(&mute.until)}</p>
                        </div>
                        <div class="row-side">
                            <form method="post" action="/approvals/mute">
                                <input type="hidden" name="client" value=mute.client_id.clone() />
                                <input type="hidden" name="hours" value="0" />
                                <button class="button small" type="submit">
                                    {t("mute-end")}
                                    <span class="visually-hidden">{hidden}</span>
                                </button>
                            </form>
                        </div>
                    </div>
                </li>
            }
        })
        .collect_view();
    view! {
        <section class="section" id="muted">
            <div class="section-head">
                <h2>{t("muted-title")}</h2>
                <p>{t("muted-text")}</p>
            </div>
            <ul class="card rows">{rows}</ul>
        </section>
    }
    .into_any()
}
