//! One file a page. Everything here is drawn on the server only.
//!
//! Forms are plain posts; `server/forms` answers them with 303, or renders the
//! page again with a [`crate::context::FormState`]:
//!
//! | page | post | fields |
//! |---|---|---|
//! | `/sign-in` | `/sign-in` | `email`, `password`, `return_to` |
//! | every page | `/sign-out` | |
//! | `/accounts/link/{connection}` | the same | `return_to`, `run`; if an agent asked: `client`, `mode` = `call`, `release`, and `permit` = `on` (ticked) |
//! | `/accounts/{id}` | `/accounts/{id}/unlink`, `/accounts/{id}/default` | |
//! | `/accounts/{id}` | `/permissions/{id}` | `action` = `pause`, `resume`, `revoke`; `return_to` |
//! | `/connected-accounts/connect` | the same | `ticket`; `account` = an account, `new`; `decision` = `continue`, `cancel` |
//! | `/approve/{id}` | the same | `decision` = `approve`, `deny`; `passkey` (what the browser answered), `number` |
//! | `/devices` | the same | `name`, `passkey` |
//! | `/devices` | `/devices/notices`, `/devices/notices/{id}/remove` | `browser`, `endpoint`, `p256dh`, `auth`; nothing |
//! | `/devices` | `/devices/codes`, `/devices/{id}/remove` | `passkey`; nothing |
//! | `/sign-in` | `/sign-in/passkey` | `passkey`, `return_to` |
//! | `/agent` | `/agent/runs` | `prompt` |
//! | `/agent/runs/{id}` | `/agent/runs/{id}/cancel` | |
//! | `/authorize/decision` | the page of `/authorize` | `decision` = `allow`, `deny`; `account` (repeated); the original parameters |
//! | `/oidc/logout` | `/oidc/logout/decision` | the original parameters |
//! | `/settings` | `/settings/password` | `current_password`, `new_password` |
//! | `/admin/people` | the same | `name`, `email`, `password`, `role` = `person`, `admin` |
//! | `/admin/people` | `/admin/people/{id}/state` | `state` = `active`, `locked` |
//! | `/admin/clients` | the same | `name`, `kind` = `confidential`, `public`; `access_mode` = `none`, `call`, `release`; `grant_types` (repeated), `redirect_uris`, `audiences` (one a line) |
//! | `/admin/clients` | `/admin/clients/{id}/state`, `/admin/clients/{id}/secret` | `state` = `active`, `frozen` |
//! | `/admin/connections` | the same | `id`, `provider`, `client_id`, `client_secret`, `scopes` (separated by spaces) |
//! | `/admin/policies` | `/admin/policies/approving` | `name`, `client`, `details_type`, `passkey`, `match_number`, `forbidden`, `approvers` (one a line), `needed`; `do` = `add`, `try` |
//! | `/admin/policies` | `/admin/policies/calling` | `call_name`, `call_client`, `connection`, `methods`, `path`; `do` |
//! | `/admin/policies` | `/admin/policies/{id}/remove` | |
//!
//! What a page reads from its address: `/accounts?linked={account}`,
//! `?unlinked=1&until={ms}`, `/devices?added={passkey}`, `?removed=1`, `?notices=on|off`, `?link=denied|failed|invalid&connection=`;
//! `/accounts/link/{connection}?client=&run=&return_to=`; `/agent?prompt=&consent=`;
//! `/agent/runs/{id}?link=`; `/activity?about=&before=`; `/settings?changed=password`;
//! `/admin/people?created=1`; `/admin/audit?person=&client=&kind=&since=&until=&before=`.

mod account;
mod accounts;
mod activity;
mod admin;
mod agent;
mod approvals;
mod approve;
mod audit;
mod channels;
mod clients;
mod connect;
mod connections;
mod consent;
mod device;
mod devices;
mod link;
mod overview;
mod policies;
mod problem;
mod settings;
mod sign_in;
mod sign_out;

use std::collections::HashMap;
use std::future::Future;

use axum::http::{StatusCode, header};
use leptos::prelude::*;
use leptos_meta::provide_meta_context;
use leptos_router::components::{FlatRoutes, Route, Router};
use leptos_router::hooks::use_params_map;
use leptos_router::params::ParamsMap;
use leptos_router::{SsrMode, path};

use crate::api::{Problem, Seen, approvals::ssr::count, seen};
use crate::context::{self, FormState};
use crate::shell::{Head, console};

/// Every page. All of them are rendered whole before the first byte goes out,
/// so that they have their right status and need no script.
#[component]
pub fn App() -> impl IntoView {
    provide_meta_context();
    view! {
        <Router>
            <FlatRoutes fallback=problem::not_found>
                <Route path=path!("/") view=overview::page ssr=SsrMode::Async />
                <Route path=path!("/sign-in") view=sign_in::page ssr=SsrMode::Async />
                <Route path=path!("/accounts") view=accounts::page ssr=SsrMode::Async />
                <Route path=path!("/accounts/:id") view=account::page ssr=SsrMode::Async />
                <Route path=path!("/accounts/link/:connection") view=link::page ssr=SsrMode::Async />
                <Route path=path!("/connected-accounts/connect") view=connect::page ssr=SsrMode::Async />
                <Route path=path!("/approvals") view=approvals::page ssr=SsrMode::Async />
                <Route path=path!("/approve/:id") view=approve::page ssr=SsrMode::Async />
                <Route path=path!("/agent") view=agent::page ssr=SsrMode::Async />
                <Route path=path!("/agent/runs") view=agent::page ssr=SsrMode::Async />
                <Route path=path!("/agent/runs/:id") view=agent::run_page ssr=SsrMode::Async />
                <Route path=path!("/authorize") view=consent::page ssr=SsrMode::Async />
                <Route path=path!("/device") view=device::page ssr=SsrMode::Async />
                <Route path=path!("/devices") view=devices::page ssr=SsrMode::Async />
                <Route path=path!("/oidc/logout") view=sign_out::page ssr=SsrMode::Async />
                <Route path=path!("/oidc/logout/done") view=sign_out::page ssr=SsrMode::Async />
                <Route path=path!("/activity") view=activity::page ssr=SsrMode::Async />
                <Route path=path!("/settings") view=settings::page ssr=SsrMode::Async />
                <Route path=path!("/admin/people") view=admin::people ssr=SsrMode::Async />
                <Route path=path!("/admin/clients") view=clients::page ssr=SsrMode::Async />
                <Route path=path!("/admin/connections") view=connections::page ssr=SsrMode::Async />
                <Route path=path!("/admin/policies") view=policies::page ssr=SsrMode::Async />
                <Route path=path!("/admin/audit") view=audit::page ssr=SsrMode::Async />
            </FlatRoutes>
        </Router>
    }
}

/// What a page knows of its request.
pub(crate) struct Asked {
    pub seen: Seen,
    pub form: FormState,
    params: ParamsMap,
    query: HashMap<String, String>,
}

impl Asked {
    /// A part of the path.
    pub fn part(&self, name: &str) -> String {
        self.params.get(name).unwrap_or_default()
    }

    /// A parameter of the address; empty if it is not there.
    pub fn query(&self, name: &str) -> String {
        self.query.get(name).cloned().unwrap_or_default()
    }
}

/// Draws a page for whoever is signed in. `draw` answers what is shown; a
/// problem becomes its own page with its own status.
fn asked<F>(draw: impl FnOnce(Asked) -> F) -> AnyView
where
    F: Future<Output = Result<AnyView, Problem>> + Send + 'static,
{
    let form = context::form();
    if let Ok(status) = StatusCode::from_u16(form.status)
        && form.status != 0
    {
        context::set_status(status);
    }
    // Nothing that was drawn for one person may be kept for another.
    context::set_header(header::CACHE_CONTROL, "no-store");
    let seen = match seen() {
        Ok(seen) => seen,
        Err(problem) => return problem::page(problem),
    };
    let drawn = draw(Asked {
        seen,
        form,
        params: use_params_map().get_untracked(),
        query: context::query(),
    });
    Suspend::new(async move {
        match drawn.await {
            Ok(view) => view,
            Err(problem) => problem::page(problem),
        }
    })
    .into_any()
}

/// Draws a page of the console.
fn in_console<F>(draw: impl FnOnce(Asked) -> F + 'static) -> AnyView
where
    F: Future<Output = Result<(Head, AnyView), Problem>> + Send + 'static,
{
    asked(|asked| {
        let seen = asked.seen.clone();
        let drawn = draw(asked);
        async move {
            let pending = count(&seen).await?;
            let (head, body) = drawn.await?;
            Ok(console(&seen.viewer, pending, head, body))
        }
    })
}
