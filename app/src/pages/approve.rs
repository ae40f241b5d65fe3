//! The decision page: alone, one column, works without a script, and never
//! submits by itself. Its end state is on the same page.

use leptos::prelude::*;

use super::devices::script;
use super::{Asked, asked};
use crate::api::approvals::{ApprovalPage, Signing, ssr};
use crate::api::{Problem, Tone};
use crate::context::FormState;
use crate::parts::{Icon, facts, form_banner, icon, mark, pill, when};
use crate::shell::alone;
use crate::words::{t, tv};

pub fn page() -> AnyView {
    asked(draw)
}

async fn draw(asked: Asked) -> Result<AnyView, Problem> {
    let approval = ssr::page(&asked.seen, &asked.part("id")).await?;
    let title = if approval.pending {
        tv("decide-title", &[("what", &approval.title)])
    } else {
        approval.title.clone()
    };
    let asker = asker(&approval);
    let fields = approval
        .fields
        .iter()
        .map(|(name, value)| {
            // Every blank of it, as it would be sent.
            let value = view! { <span class="lines">{value.clone()}</span> };
            (name.clone(), value.into_any())
        })
        .collect();
    let binding = approval.binding_message.clone().map(|message| {
        view! {
            <div class="binding">
                <code>{message}</code>
                <p class="field-hint">{t("decide-must-match")}</p>
            </div>
        }
    });
    let number = can_approve(&approval)
        .filter(|_| approval.numbered)
        .map(|()| number(&asked.form));
    let times = view! {
        <div class="sunken">
            {facts(
                vec![
                    (t("decide-asked"), when(&approval.asked).into_any()),
                    if approval.pending {
                        (t("decide-expires"), when(&approval.expires).into_any())
                    } else {
                        (
                            t("decide-decided"),
                            when(approval.decided.as_ref().unwrap_or(&approval.expires)).into_any(),
                        )
                    },
                    (t("decide-id"), view! { <code>{approval.id.clone()}</code> }.into_any()),
                ]
                    .into_iter()
                    .chain(
                        [
                            ("decide-approvals", &approval.approvals),
                            ("decide-policies", &approval.policies),
                        ]
                            .into_iter()
                            .filter_map(|(key, words)| {
                                words.clone().map(|words| (t(key), words.into_any()))
                            }),
                    )
                    .collect(),
            )}
        </div>
    };
    let foot = if approval.yours {
        view! {
            <div>
                <p>{approval.barred.clone()}</p>
            </div>
            {ways_on(&approval)}
        }
        .into_any()
    } else if approval.pending {
        deciders(&approval)
    } else {
        ways_on(&approval)
    };
    let mute = approval.pending.then(|| mute(&approval));
    let verdict = (!approval.pending).then(|| verdict(&approval));
    // Decided elsewhere meanwhile, or sent by now: the page is loaded again and says so.
    let body = view! {
        <article
            class="sheet"
            data-reload-on=approval.unsettled.then_some("approval")
            data-reload-id=approval.id.clone()
            data-reload-stand=approval.stand.clone()
        >
            {verdict}
            <div>{form_banner(&asked.form)} {asker}</div>
            <div>
                <h1>{approval.title.clone()}</h1>
                {facts(fields)}
                <p class="field-hint">{approval.enforced_by.clone()}</p>
                {binding} {number}
            </div>
            {times}
            {mute}
            {foot}
        </article>
    }
    .into_any();
    Ok(alone(
        title,
        false,
        Some(&asked.seen.viewer),
        body,
        Some(t("decide-foot")),
    ))
}

fn asker(approval: &ApprovalPage) -> AnyView {
    let which = if approval.embedded { "agent" } else { "client" };
    view! {
        <div class="asker">
            {mark(which, "")} <div>
                <b>{approval.asker.clone()}</b>
                <span class="field-hint">
                    {if approval.embedded { t("decide-embedded") } else { t("decide-client") }}
                    " · " <code>{approval.client_id.clone()}</code>
                </span>
                {approval
                    .asked_of
                    .as_ref()
                    .map(|person| {
                        view! {
                            <span class="field-hint">{tv("decide-for", &[("person", person)])}</span>
                        }
                    })}
            </div>
        </div>
    }
    .into_any()
}

/// Whether the person who looks can approve it as things stand.
fn can_approve(approval: &ApprovalPage) -> Option<()> {
    let able = |signing: &Signing| signing.options.is_some();
    let can =
        approval.pending && approval.barred.is_none() && approval.signing.as_ref().is_none_or(able);
    can.then_some(())
}

fn deciders(approval: &ApprovalPage) -> AnyView {
    let signing = approval.signing.as_ref();
    let options = signing
        .filter(|_| approval.barred.is_none())
        .and_then(|signing| signing.options.clone());
    let with_passkey = options.is_some();
    // Where nothing that counts can approve it: only Deny, and why.
    let stuck = match approval.barred.clone() {
        Some(words) => Some(view! { <p class="field-hint">{words}</p> }.into_any()),
        None => signing.filter(|_| !with_passkey).map(unable),
    };
    let approve = stuck.is_none().then(|| {
        view! {
            <button
                class="button primary large"
                type="submit"
                name="decision"
                value="approve"
                disabled=with_passkey
                data-wakes=with_passkey
            >
                {t("decide-approve")}
            </button>
        }
    });
    let columns = if stuck.is_none() { "two" } else { "form" };
    let how = with_passkey.then(|| {
        view! {
            <input type="hidden" name="passkey" />
            <p class="field-hint">{t("decide-with-device")}</p>
            <p class="field-error" role="alert" data-says hidden></p>
            <noscript>
                <p class="field-hint">{t("decide-needs-script")}</p>
            </noscript>
        }
    });
    view! {
        <form
            id="decide"
            class="deciders"
            method="post"
            action=format!("/approve/{}", approval.id)
            autocomplete="off"
            data-passkey=with_passkey.then_some("approve")
            data-options=options
            data-decision=signing.map(|signing| signing.decision.clone())
            data-shown=signing.map(|signing| signing.shown.clone())
        >
            {how} {stuck} <details>
                <summary>{t("decide-why")}</summary>
                <label class="field">
                    <span class="field-hint">{t("decide-why-hint")}</span>
                    <input class="input" type="text" name="why" maxlength="200" />
                </label>
            </details> <div class=columns>
                <button
                    class="button large"
                    type="submit"
                    name="decision"
                    value="deny"
                    formnovalidate
                >
                    {t("decide-deny")}
                </button>
                {approve}
            </div>
            {with_passkey.then(script)}
        </form>
    }
    .into_any()
}

/// The number that the agent shows: who never asked the agent for anything
/// does not know it.
fn number(form: &FormState) -> AnyView {
    let error = form.error("number");
    let described = if error.is_some() {
        "number-error number-hint"
    } else {
        "number-hint"
    };
    view! {
        <div class="field">
            <label for="number">{t("decide-number")}</label>
            <input
                class="input"
                id="number"
                name="number"
                form="decide"
                type="text"
                inputmode="numeric"
                pattern="[0-9]{2}"
                maxlength="2"
                autocomplete="off"
                required
                aria-invalid=error.is_some().then_some("true")
                aria-describedby=described
            />
            {error
                .map(|words| {
                    view! {
                        <p class="field-error" id="number-error">
                            {icon(Icon::Warning)}
                            {words}
                        </p>
                    }
                })}
            <p class="field-hint" id="number-hint">
                {t("decide-number-hint")}
            </p>
        </div>
    }
    .into_any()
}

/// Why this person cannot approve it now.
fn unable(signing: &Signing) -> AnyView {
    match &signing.on_hold {
        Some(until) => view! {
            <p class="field-hint">{t("decide-on-hold")} " " {when(until)}</p>
        }
        .into_any(),
        None => {
            let why = if signing.device_bound {
                "decide-no-bound-device"
            } else {
                "decide-no-device"
            };
            view! {
                <p class="field-hint">
                    {t(why)} " " <a href="/devices">{t("decide-set-up-device")}</a>
                </p>
            }
            .into_any()
        }
    }
}

/// For an agent that asks too often: it may go on asking, and rings nothing.
fn mute(approval: &ApprovalPage) -> AnyView {
    let length = |hours: i64, words: &str| {
        view! {
            <button class="button small" type="submit" name="hours" value=hours.to_string()>
                {t(words)}
            </button>
        }
    };
    view! {
        <details>
            <summary>{t("mute-summary")}</summary>
            <form class="form" method="post" action="/approvals/mute" autocomplete="off">
                <input type="hidden" name="client" value=approval.client_id.clone() />
                <p class="field-hint">{t("mute-text")}</p>
                <p class="actions">
                    {length(1, "mute-hour")} {length(8, "mute-hours")} {length(7 * 24, "mute-week")}
                </p>
            </form>
        </details>
    }
    .into_any()
}

fn verdict(approval: &ApprovalPage) -> AnyView {
    let (which, class) = match approval.status.tone {
        Tone::Good => (Icon::Tick, "good"),
        Tone::No => (Icon::Cross, "bad"),
        Tone::Bad => (Icon::Warning, "bad"),
        Tone::Wait | Tone::Moving => (Icon::Clock, "wait"),
        Tone::Quiet => (Icon::Bar, "quiet"),
    };
    view! {
        <div class=format!("verdict {class}") role="status">
            {icon(which)} {pill(&approval.status)}
            <p class="muted">{approval.verdict.clone()}</p>
            {approval
                .said
                .clone()
                .map(|said| {
                    view! { <p class="quote">{said}</p> }
                })}
        </div>
    }
    .into_any()
}

fn ways_on(approval: &ApprovalPage) -> AnyView {
    view! {
        <div>
            <p class="actions">
                {approval
                    .run_href
                    .clone()
                    .map(|href| {
                        view! {
                            <a class="button primary" href=href>
                                {t("decide-to-run")}
                            </a>
                        }
                    })} <a class="button" href="/approvals">{t("decide-to-approvals")}</a>
            </p>
        </div>
    }
    .into_any()
}
