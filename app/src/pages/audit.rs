//! The audit log, for admins: every event with its place in the tree.

use leptos::prelude::*;

use super::{Asked, in_console};
use crate::api::Problem;
use crate::api::admin::{AuditRow, TreeHead, ssr};
use crate::parts::{Icon, copyable, empty, icon, when};
use crate::shell::{Head, Place};
use crate::words::{t, tn};

pub fn page() -> AnyView {
    in_console(draw)
}

async fn draw(asked: Asked) -> Result<(Head, AnyView), Problem> {
    let wanted = ssr::Wanted {
        person: asked.query("person").trim().to_owned(),
        client: asked.query("client").trim().to_owned(),
        kind: asked.query("kind"),
        since: asked.query("since"),
        until: asked.query("until"),
        before: asked.query("before"),
    };
    let tree = ssr::tree(&asked.seen).await?;
    let (rows, older) = ssr::audit(&asked.seen, &wanted).await?;
    let list = if rows.is_empty() {
        empty(
            Icon::Audit,
            t("audit-empty-title"),
            t("audit-empty-text"),
            Some(("/admin/audit", t("audit-show-all"))),
        )
    } else {
        table(&rows)
    };
    let older = older.map(|cursor| {
        view! {
            <form method="get" action="/admin/audit">
                {kept(&wanted)} <input type="hidden" name="before" value=cursor />
                <button class="button" type="submit">
                    {t("older")}
                </button>
            </form>
        }
    });
    let head = Head::new(Place::Audit, t("audit-title"), t("audit-lede")).action(
        view! {
            <a class="button" href="/admin/audit/export.jsonl" download="attorn-audit.jsonl">
                {t("audit-export")}
            </a>
        }
        .into_any(),
    );
    let body = view! {
        {head_of_tree(&tree)}
        {filters(&wanted)}
        {list}
        {older}
    }
    .into_any();
    Ok((head, body))
}

fn kept(wanted: &ssr::Wanted) -> Vec<AnyView> {
    [
        ("person", &wanted.person),
        ("client", &wanted.client),
        ("kind", &wanted.kind),
        ("since", &wanted.since),
        ("until", &wanted.until),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
    .map(|(name, value)| view! { <input type="hidden" name=name value=value.clone() /> }.into_any())
    .collect()
}

fn head_of_tree(tree: &TreeHead) -> AnyView {
    let signed = tree.at.as_ref().map_or_else(
        || t("audit-never-signed").into_any(),
        |at| when(at).into_any(),
    );
    let waiting = i64::try_from(tree.waiting).unwrap_or(i64::MAX);
    let note = tree.note.clone().map(|note| {
        view! {
            <details>
                <summary>{t("audit-checkpoint")}</summary>
                <pre class="note" tabindex="0">{note}</pre>
                <p class="field-hint">{t("audit-key")} " " {copyable(&tree.key)}</p>
            </details>
        }
    });
    view! {
        <section class="card padded">
            <div class="tree-head">
                <p class="figure">
                    <span>{t("audit-size")}</span>
                    <b>{tree.size}</b>
                </p>
                <p class="figure">
                    <span>{t("audit-signed")}</span>
                    <b>{signed}</b>
                </p>
                <p class="figure">
                    <span>{t("audit-root")}</span>
                    <b class="mono">{tree.root.clone()}</b>
                </p>
            </div>
            <p class="field-hint">{tn("audit-waiting", waiting)} " " {t("audit-verify")}</p>
            {note}
        </section>
    }
    .into_any()
}

fn filters(wanted: &ssr::Wanted) -> AnyView {
    let text = |name: &'static str, label: &str, kind: &'static str, value: &str| {
        view! {
            <div class="field">
                <label for=name>{t(label)}</label>
                <input
                    class="input"
                    id=name
                    name=name
                    type=kind
                    value=value.to_owned()
                    autocomplete="off"
                />
            </div>
        }
        .into_any()
    };
    let kinds = ssr::kinds()
        .into_iter()
        .map(|kind| {
            let chosen = kind == wanted.kind;
            let shown = kind.clone();
            view! {
                <option value=kind selected=chosen>
                    {shown}
                </option>
            }
        })
        .collect_view();
    view! {
        <form class="filters" method="get" action="/admin/audit">
            {text("person", "audit-person", "text", &wanted.person)}
            {text("client", "audit-client", "text", &wanted.client)}
            <div class="field">
                <label for="kind">{t("audit-kind")}</label>
                <select class="input" id="kind" name="kind">
                    <option value="">{t("audit-any-kind")}</option>
                    {kinds}
                </select>
            </div>
            {text("since", "audit-since", "date", &wanted.since)}
            {text("until", "audit-until", "date", &wanted.until)}
            <button class="button" type="submit">
                {t("audit-filter")}
            </button>
        </form>
    }
    .into_any()
}

fn table(rows: &[AuditRow]) -> AnyView {
    let rows = rows
        .iter()
        .map(|row| {
            let facts = row
                .facts
                .iter()
                .map(|(name, value)| {
                    view! {
                        <span class="row-text">
                            <span class="subtle">{name.clone()}</span> " " {value.clone()}
                        </span>
                        " "
                    }
                })
                .collect_view();
            let index = match row.index {
                Some(index) => index.to_string().into_any(),
                None => view! {
                    <span class="status wait">{icon(Icon::Clock)} {t("audit-unnumbered")}</span>
                }
                .into_any(),
            };
            view! {
                <tr id=row.id.clone()>
                    <td data-name=t("audit-index") class="mono">
                        {index}
                    </td>
                    <td data-name=t("audit-what")>
                        <code>{row.kind.clone()}</code>
                        <br />
                        {facts}
                    </td>
                    <td data-name=t("audit-person")>{row.person.clone()}</td>
                    <td data-name=t("audit-client")>{row.client.clone()}</td>
                    <td data-name=t("audit-when") class="nowrap">
                        {when(&row.at)}
                    </td>
                </tr>
            }
        })
        .collect_view();
    view! {
        <section class="card">
            <div class="table-wrap" tabindex="0" role="region" aria-label=t("audit-title")>
                <table class="table">
                    <thead>
                        <tr>
                            <th scope="col">{t("audit-index")}</th>
                            <th scope="col">{t("audit-what")}</th>
                            <th scope="col">{t("audit-person")}</th>
                            <th scope="col">{t("audit-client")}</th>
                            <th scope="col">{t("audit-when")}</th>
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
        </section>
    }
    .into_any()
}
