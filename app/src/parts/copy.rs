//! The copy button.

use leptos::prelude::*;

use super::icon::{Icon, icon};

/// Copies a text. Hidden where no script runs: the text itself stands beside it.
#[island]
pub fn CopyButton(
    /// What is copied.
    text: String,
    /// What the button says to a screen reader.
    label: String,
    /// What it says once done.
    done_label: String,
) -> impl IntoView {
    let done = RwSignal::new(false);
    let copy = move |_| {
        #[cfg(feature = "hydrate")]
        {
            let promise = window().navigator().clipboard().write_text(&text);
            leptos::task::spawn_local(async move {
                if wasm_bindgen_futures::JsFuture::from(promise).await.is_ok() {
                    done.set(true);
                    set_timeout(
                        move || done.set(false),
                        std::time::Duration::from_millis(1_600),
                    );
                }
            });
        }
        #[cfg(not(feature = "hydrate"))]
        let _ = &text;
    };
    view! {
        <button
            type="button"
            class=move || if done.get() { "copy done" } else { "copy" }
            aria-label=move || if done.get() { done_label.clone() } else { label.clone() }
            on:click=copy
        >
            {move || icon(if done.get() { Icon::Tick } else { Icon::Copy })}
        </button>
    }
}
