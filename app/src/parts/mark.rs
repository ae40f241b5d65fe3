//! Our wordmark, and a letterform of our own for each provider (no logos).

use leptos::prelude::*;

/// The mark of a provider: a drawn letter on a tinted tile. A provider we have
/// drawn nothing for gets its first letter.
pub fn mark(provider: &str, size: &'static str) -> impl IntoView + use<> {
    let path = match provider {
        "slack" => Some(
            "M11.3 5.2C10.8 3.9 9.6 3.2 8 3.2c-1.9 0-3.2.900-3.2 2.3 0 3.2 6.5 1.5 6.5 4.9 0 1.4-1.3 2.4-3.3 2.4-1.8 0-3-.7-3.5-2.1",
        ),
        "google" => Some("M12 5.4A4.7 4.7 0 1 0 12.7 8.5H8.6"),
        "salesforce" => Some(
            "M8.2 5.3C7.8 4.2 6.9 3.7 5.6 3.7c-1.5 0-2.5.800-2.5 1.9 0 2.6 5.2 1.3 5.2 4.1 0 1.2-1 2-2.6 2-1.4 0-2.4-.6-2.8-1.8 M13.6 4.1c-1.5-.5-2.4.300-2.4 1.8v6 M9.9 7.5h3.3",
        ),
        "agent" => Some(
            "M8 2.2c.5 3.3 2.4 5.2 5.8 5.8C10.4 8.6 8.5 10.5 8 13.8 7.5 10.5 5.6 8.6 2.2 8 5.6 7.4 7.5 5.5 8 2.2Z",
        ),
        "client" => Some("M3 3.5h10v9H3Z M5.5 6.5 7.2 8l-1.7 1.5 M8.5 10h2.2"),
        _ => None,
    };
    let initial = provider
        .chars()
        .next()
        .map(|first| first.to_uppercase().to_string());
    let class = format!("mark {provider} {size}");
    view! {
        <span class=class aria-hidden="true">
            {match path {
                Some(path) => view! {
                    <svg viewBox="0 0 16 16" width="20" height="20" fill="none" stroke="currentColor" stroke-width="1.7" stroke-linecap="round" stroke-linejoin="round">
                        <path d=path></path>
                    </svg>
                }
                .into_any(),
                None => initial.into_any(),
            }}
        </span>
    }
}

/// The wordmark: an A whose bar is a tick.
pub fn wordmark() -> impl IntoView {
    view! {
        <svg viewBox="0 0 20 20" width="22" height="22" fill="none" stroke="currentColor" stroke-width="2.2" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">
            <path d="M2.8 17 10 3l7.2 14 M6.3 12l2.7 2.6 5.2-5.8"></path>
        </svg>
        <span>"Attorn"</span>
    }
}
