//! Forms, banners, empty lists: what only the server draws.

use leptos::prelude::*;

use super::copy::CopyButton;
use super::icon::{Icon, icon};
use super::status::shape;
use crate::api::Tone;
use crate::context::FormState;
use crate::words::t;

/// One field of a form.
#[derive(Clone, Copy, Default)]
pub(crate) struct Field {
    /// Its name in the post, and its id on the page.
    pub name: &'static str,
    /// Key of its label.
    pub label: &'static str,
    /// Key of the hint below, if any.
    pub hint: Option<&'static str>,
    /// `text`, `email`, `password`, `date` …
    pub kind: &'static str,
    /// The `autocomplete` word.
    pub autocomplete: &'static str,
    /// Whether the browser insists on it.
    pub required: bool,
    /// What stands in the empty field.
    pub placeholder: &'static str,
}

fn described(field: &Field, error: bool) -> Option<String> {
    let mut ids = Vec::new();
    if error {
        ids.push(format!("{}-error", field.name));
    }
    if field.hint.is_some() {
        ids.push(format!("{}-hint", field.name));
    }
    (!ids.is_empty()).then(|| ids.join(" "))
}

fn around(field: Field, error: Option<String>, input: AnyView) -> AnyView {
    view! {
        <div class="field">
            <label for=field.name>{t(field.label)}</label>
            {input}
            {error
                .map(|words| {
                    view! {
                        <p class="field-error" id=format!("{}-error", field.name)>
                            {icon(Icon::Warning)}
                            {words}
                        </p>
                    }
                })}
            {field
                .hint
                .map(|hint| {
                    view! {
                        <p class="field-hint" id=format!("{}-hint", field.name)>
                            {t(hint)}
                        </p>
                    }
                })}
        </div>
    }
    .into_any()
}

/// A line of text. A password is never sent back into its field.
pub(crate) fn text_field(form: &FormState, field: Field) -> AnyView {
    let error = form.error(field.name);
    let value = if field.kind == "password" {
        String::new()
    } else {
        form.value(field.name)
    };
    let input = view! {
        <input
            class="input"
            id=field.name
            name=field.name
            type=field.kind
            value=value
            autocomplete=field.autocomplete
            placeholder=(!field.placeholder.is_empty()).then_some(field.placeholder)
            required=field.required
            spellcheck="false"
            autocapitalize="off"
            aria-invalid=error.is_some().then_some("true")
            aria-describedby=described(&field, error.is_some())
        />
    }
    .into_any();
    around(field, error, input)
}

/// Several lines of text.
pub(crate) fn text_area(form: &FormState, field: Field) -> AnyView {
    let error = form.error(field.name);
    let input = view! {
        <textarea
            class="input"
            id=field.name
            name=field.name
            rows="3"
            spellcheck="false"
            placeholder=(!field.placeholder.is_empty()).then_some(field.placeholder)
            required=field.required
            aria-invalid=error.is_some().then_some("true")
            aria-describedby=described(&field, error.is_some())
        >
            {form.value(field.name)}
        </textarea>
    }
    .into_any();
    around(field, error, input)
}

/// A choice of one: `(value, words)`, the first being the default.
pub(crate) fn select(form: &FormState, field: Field, options: Vec<(String, String)>) -> AnyView {
    let error = form.error(field.name);
    let chosen = form.value(field.name);
    let options = options
        .into_iter()
        .map(|(value, words)| {
            let selected = value == chosen;
            view! { <option value=value selected=selected>{words}</option> }
        })
        .collect_view();
    let input = view! {
        <select
            class="input"
            id=field.name
            name=field.name
            aria-invalid=error.is_some().then_some("true")
            aria-describedby=described(&field, error.is_some())
        >
            {options}
        </select>
    }
    .into_any();
    around(field, error, input)
}

/// A box to tick, with what it means below.
pub(crate) fn check(
    name: &'static str,
    value: &str,
    words: String,
    more: Option<String>,
    checked: bool,
) -> AnyView {
    view! {
        <label class="check">
            <input type="checkbox" name=name value=value.to_owned() checked=checked />
            <span>
                {words} {more.map(|more| view! { <small>{more}</small> })}
            </span>
        </label>
    }
    .into_any()
}

/// One of several, of which one is chosen.
pub(crate) fn radio(name: &'static str, value: &str, words: String, checked: bool) -> AnyView {
    view! {
        <label class="check">
            <input type="radio" name=name value=value.to_owned() checked=checked />
            <span>{words}</span>
        </label>
    }
    .into_any()
}

/// Something to know before anything else on the page.
pub(crate) fn banner(
    tone: Tone,
    title: String,
    text: Option<String>,
    action: Option<(String, String)>,
) -> AnyView {
    let (which, class) = shape(tone);
    let role = if matches!(tone, Tone::Bad | Tone::No) {
        "alert"
    } else {
        "status"
    };
    view! {
        <div class=format!("banner {class}") role=role>
            {icon(which)} <div>
                <p>
                    <strong>{title}</strong>
                </p>
                {text.map(|text| view! { <p class="muted">{text}</p> })}
            </div>
            {action.map(|(href, words)| view! { <a class="button" href=href>{words}</a> })}
        </div>
    }
    .into_any()
}

/// What the form as a whole has to say: its own error, or a notice.
pub(crate) fn form_banner(form: &FormState) -> Option<AnyView> {
    if let Some(words) = form.error("") {
        return Some(banner(Tone::Bad, words, None, None));
    }
    if !form.errors.is_empty() {
        return Some(banner(Tone::Bad, t("form-has-errors"), None, None));
    }
    notice(form)
}

/// What is said above the page after something went well.
pub(crate) fn notice(form: &FormState) -> Option<AnyView> {
    form.notice
        .clone()
        .map(|words| banner(Tone::Good, words, None, None))
}

/// An empty list: what this is, why it is empty, one thing to do.
pub(crate) fn empty(
    which: Icon,
    title: String,
    text: String,
    action: Option<(&str, String)>,
) -> AnyView {
    view! {
        <div class="empty">
            {icon(which)} <h3>{title}</h3> <p>{text}</p>
            {action.map(|(href, words)| view! { <a class="button" href=href.to_owned()>{words}</a> })}
        </div>
    }
    .into_any()
}

/// A table of details: name and value.
pub(crate) fn facts(rows: Vec<(String, AnyView)>) -> AnyView {
    let rows = rows
        .into_iter()
        .map(|(name, value)| {
            view! {
                <div>
                    <dt>{name}</dt>
                    <dd>{value}</dd>
                </div>
            }
        })
        .collect_view();
    view! { <dl class="facts">{rows}</dl> }.into_any()
}

/// An id with its copy button.
pub(crate) fn copyable(text: &str) -> AnyView {
    view! {
        <span class="copyable">
            <code>{text.to_owned()}</code>
            <CopyButton text=text.to_owned() label=t("copy") done_label=t("copied") />
        </span>
    }
    .into_any()
}
