//! Approvals: those that wait, then those that were decided.

use leptos::prelude::*;

use super::{Asked, in_console};
use crate::api::Problem;
use crate::api::approvals::ssr::{decided, pending};
use crate::parts::{Icon, PendingList, approval_row, empty};
use crate::shell::{Head, Place};
use crate::words::t;

pub fn page() -> AnyView {
    in_console(draw)
}

async fn draw(asked: Asked) -> Result<(Head, AnyView), Problem> {
    let waiting = pending(&asked.seen).await?;
    let past = decided(&asked.seen).await?;
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
