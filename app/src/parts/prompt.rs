//! The box in which a person tells the agent what to do.

use leptos::prelude::*;
use serde::{Deserialize, Serialize};

#[cfg(feature = "hydrate")]
use crate::api::runs::{Started, start_run};

/// What the box says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromptWords {
    /// The field's name.
    pub label: String,
    /// What stands in the empty field.
    pub placeholder: String,
    /// The button.
    pub submit: String,
    /// The button while it starts.
    pub busy: String,
    /// Before the examples.
    pub examples: String,
    /// When the server could not be reached.
    pub failed: String,
}

/// The prompt. Without a script it is a form posted to `/agent/runs`; with one
/// it asks the server function and goes to the run.
#[island]
pub fn Prompt(
    /// What it says.
    words: PromptWords,
    /// What stands in the field.
    value: String,
    /// Why the last try was refused.
    error: Option<String>,
    /// Sentences to try.
    examples: Vec<String>,
) -> impl IntoView {
    // What was typed before the script arrived is kept.
    let text = RwSignal::new(typed().unwrap_or_else(|| value.clone()));
    let error = RwSignal::new(error);
    let busy = RwSignal::new(false);
    let failed = words.failed;
    let submit = move |event: leptos::ev::SubmitEvent| {
        #[cfg(feature = "hydrate")]
        {
            event.prevent_default();
            if busy.get_untracked() {
                return;
            }
            busy.set(true);
            let failed = failed.clone();
            leptos::task::spawn_local(async move {
                match start_run(text.get_untracked()).await {
                    Ok(Started::Run(href)) => {
                        // The page goes away; the button stays as it is.
                        if window().location().assign(&href).is_err() {
                            busy.set(false);
                        }
                    }
                    Ok(Started::NotUnderstood(words)) => {
                        busy.set(false);
                        error.set(Some(words));
                    }
                    Err(_) => {
                        busy.set(false);
                        error.set(Some(failed));
                    }
                }
            });
        }
        #[cfg(not(feature = "hydrate"))]
        let _ = (&event, &failed);
    };
    let chips = examples
        .into_iter()
        .map(|example| {
            let shown = example.clone();
            let href = format!("/agent?prompt={}", encode(&example));
            view! {
                <a
                    class="example"
                    href=href
                    on:click=move |event| {
                        event.prevent_default();
                        error.set(None);
                        text.set(example.clone());
                    }
                >
                    {shown}
                </a>
            }
        })
        .collect_view();
    view! {
        <form class="prompt" method="post" action="/agent/runs" on:submit=submit>
            <div class="prompt-line">
                <div class="field">
                    <label class="visually-hidden" for="prompt">{words.label}</label>
                    <input
                        class="input"
                        id="prompt"
                        name="prompt"
                        type="text"
                        maxlength="5000"
                        autocomplete="off"
                        placeholder=words.placeholder
                        value=value
                        prop:value=move || text.get()
                        aria-invalid=move || error.with(Option::is_some).then_some("true")
                        aria-describedby="prompt-error"
                        on:input:target=move |event| text.set(event.target().value())
                    />
                </div>
                <button class="button primary" type="submit" disabled=move || busy.get()>
                    {move || if busy.get() { words.busy.clone() } else { words.submit.clone() }}
                </button>
            </div>
            <p class="field-error" id="prompt-error" role="alert" hidden=move || error.with(Option::is_none)>
                {move || error.get()}
            </p>
            <div class="examples">
                <span class="field-hint">{words.examples}</span>
                {chips}
            </div>
        </form>
    }
}

/// What stands in the field now; nothing on the server.
fn typed() -> Option<String> {
    #[cfg(feature = "hydrate")]
    {
        use leptos::wasm_bindgen::JsCast as _;
        let field = document().get_element_by_id("prompt")?;
        let field = field.dyn_into::<leptos::web_sys::HtmlInputElement>().ok()?;
        Some(field.value())
    }
    #[cfg(not(feature = "hydrate"))]
    None
}

/// Percent-encodes for a query. Written out: the browser's own is not there on
/// the server.
fn encode(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_example_survives_the_address() {
        assert_eq!(
            super::encode("post \"é\" to #a"),
            "post%20%22%C3%A9%22%20to%20%23a"
        );
    }
}
