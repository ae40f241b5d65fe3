//! Lists of approvals.

use leptos::prelude::*;

use super::icon::{Icon, icon};
use super::status::{status, when};
use crate::api::approvals::ApprovalRow;
#[cfg(feature = "hydrate")]
use crate::api::approvals::pending_approvals;

/// One approval as a line that leads to its decision page.
pub(crate) fn approval_row(row: &ApprovalRow, until: &str) -> impl IntoView + use<> {
    let expires = row.expires.as_ref().map(|stamp| {
        view! { <span class="nowrap">" · " {until.to_owned()} " " {when(stamp)}</span> }
    });
    view! {
        <a class="row wraps" href=row.href.clone()>
            <span class="row-main">
                <span class="row-title">{row.title.clone()}</span>
                <span class="row-text">
                    {row.asker.clone()} " · " {when(&row.asked)} {expires}
                </span>
            </span>
            <span class="row-side">
                {status(&row.status)} <span class="chevron">{icon(Icon::Chevron)}</span>
            </span>
        </a>
    }
}

/// The approvals that wait, kept current by live events. `children` is what
/// stands there when none wait.
#[island]
pub fn PendingList(
    /// Those that wait as the page is made.
    initial: Vec<ApprovalRow>,
    /// What stands before the end of its time: `expires`.
    until: String,
    /// What a screen reader is told when the list changes.
    changed: String,
    /// What stands there when none wait.
    children: Children,
) -> impl IntoView {
    let rows = RwSignal::new(initial);
    let told = RwSignal::new(String::new());
    let none = move || rows.with(Vec::is_empty);
    #[cfg(feature = "hydrate")]
    crate::live::refetch(
        &["attorn:approval"],
        true,
        pending_approvals,
        move |fresh| {
            if rows.with_untracked(|old| *old != fresh) {
                told.set(changed.clone());
                rows.set(fresh);
            }
        },
    );
    #[cfg(not(feature = "hydrate"))]
    let _ = changed;
    view! {
        <p class="visually-hidden" role="status">{move || told.get()}</p>
        <ul class="card rows" hidden=none data-list="pending">
            <For each=move || rows.get() key=Clone::clone let:row>
                <li>{approval_row(&row, &until)}</li>
            </For>
        </ul>
        <div hidden=move || !none()>{children()}</div>
    }
}
