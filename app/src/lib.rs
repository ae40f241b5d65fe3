//! What a person sees: the console, the decision page, and the link flow.
//!
//! Pages are rendered on the server and complete without a script. The few
//! live parts are islands: the count of pending approvals, the list of them,
//! the steps of a run, the prompt, and the copy button. Only what an island
//! needs is compiled for the browser: [`api`] (wire types and server
//! functions), [`parts`], and nothing of `domain`.
//!
//! The map:
//! - [`api`]: per area the wire types, the server functions, and how the
//!   domain's types become them.
//! - [`parts`]: what pages share, the islands among them.
//! - `pages`: one file a page; its head has the table of forms.
//! - `shell`: the document, the console's frame, and the page alone.
//! - `words`: every sentence, from `locales/en.ftl`.
//! - `context`: what the server hands to every render.
#![recursion_limit = "512"]

pub mod api;
#[cfg(feature = "ssr")]
pub mod context;
#[cfg(feature = "hydrate")]
mod live;
#[cfg(feature = "ssr")]
pub mod pages;
pub mod parts;
#[cfg(feature = "ssr")]
mod shell;
#[cfg(feature = "ssr")]
mod words;

#[cfg(feature = "ssr")]
pub use pages::App;
#[cfg(feature = "ssr")]
pub use shell::shell;

/// The browser's entry: wakes the islands on the page. The loader calls it
/// once the wasm has arrived.
#[cfg(feature = "hydrate")]
#[wasm_bindgen::prelude::wasm_bindgen]
pub fn hydrate() {
    console_error_panic_hook::set_once();
    leptos::mount::hydrate_islands();
}
