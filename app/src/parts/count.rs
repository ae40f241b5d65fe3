//! The count of pending approvals beside the word Approvals.

use leptos::prelude::*;

#[cfg(feature = "hydrate")]
use crate::api::approvals::pending_count;

/// How many approvals wait. Nothing is shown for none. Follows live events.
#[island]
pub fn PendingCount(
    /// How many there are as the page is made.
    initial: i64,
    /// What follows the number, for a screen reader: `waiting`.
    words: String,
) -> impl IntoView {
    let count = RwSignal::new(initial);
    #[cfg(feature = "hydrate")]
    crate::live::refetch(&["attorn:approval"], false, pending_count, move |fresh| {
        count.set(fresh);
    });
    view! {
        <Show when=move || { count.get() > 0 }>
            <span class="count">
                {move || count.get()} <span class="visually-hidden">" " {words.clone()}</span>
            </span>
        </Show>
    }
}
