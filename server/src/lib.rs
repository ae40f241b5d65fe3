//! The door: requests come in here, become typed asks, and one verb of
//! `domain` answers each. No rule lives in this crate.
//!
//! The map:
//! - [`config`], [`serve`], [`upkeep`], [`tls`]: how the process runs.
//! - [`door`]: what every request passes. [`session`]: who is signed in.
//! - [`oauth`]: endpoints of the authorization server. [`proxy`]: calls to providers.
//! - [`pages`], [`forms`], [`link`], [`live`]: what browsers use. [`files`], [`health`].
//! - `demo` (feature): sandbox providers, seeded people, the address that plays the person.

pub mod backup;
pub mod config;
pub mod control;
#[cfg(feature = "demo")]
pub mod demo;
pub mod door;
pub mod files;
pub mod forms;
pub mod health;
pub mod key_providers;
pub mod link;
pub mod live;
pub mod me;
pub mod memory;
pub mod oauth;
pub mod pages;
pub mod passkeys;
pub mod proxy;
pub mod serve;
pub mod session;
pub mod tls;
pub mod upkeep;
pub mod upstream;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{any, get, post};

pub use door::Door;

/// The whole application.
pub fn router(door: &Door) -> Router {
    // Pages are rendered on this runtime. A second router finds it set already.
    let _ = any_spawner::Executor::init_tokio();
    let pages = Router::new()
        .merge(forms::routes())
        .route("/authorize", get(oauth::authorize::ask))
        .route("/authorize/decision", post(oauth::authorize::decide))
        .route("/oidc/logout", get(oauth::logout::ask))
        .route("/oidc/logout/decision", post(oauth::logout::decide))
        .route("/live", get(live::live))
        .route("/api/{*function}", post(pages::server_functions))
        .fallback(pages::page)
        // The page of an address that also takes a post.
        .method_not_allowed_fallback(pages::page)
        .layer(from_fn_with_state(door.clone(), session::load))
        .layer(session::layer(door))
        .layer(from_fn_with_state(door.clone(), door::same_origin));
    let machines = Router::new()
        .merge(oauth::routes())
        .merge(me::routes().layer(oauth::open_to_scripts()))
        .route("/proxy/{*rest}", any(proxy::call))
        .layer(from_fn_with_state(door.clone(), oauth::next_nonce))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/pkg/{file}", get(files::file))
        .route("/favicon.svg", get(files::file))
        .route("/live.js", get(files::file))
        .route("/passkeys.js", get(files::file))
        .route("/notices.js", get(files::file))
        .route("/sw.js", get(files::file))
        .route("/manifest.webmanifest", get(files::file))
        .route("/icon-192.png", get(files::file))
        .route("/icon-512.png", get(files::file))
        .route("/icon-maskable-512.png", get(files::file));
    #[cfg(feature = "demo")]
    let machines = match &door.options.demo_secret {
        Some(secret) => machines.route(
            &format!("/demo/{secret}/decide"),
            post(demo::decide::decide),
        ),
        None => machines,
    };
    machines
        .merge(pages)
        .layer(from_fn(door::caught))
        .layer(from_fn_with_state(door.clone(), door::layer))
        .with_state(door.clone())
}
