//! How islands follow live events. `live.js` holds the one event stream of
//! the browser and turns what comes into events of the document:
//! `attorn:{topic}`, and `attorn:resync` after a gap.

use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;

use leptos::prelude::*;
use leptos::server_fn::ServerFnError;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;

/// The event after a gap in the stream.
const RESYNC: &str = "attorn:resync";

/// Fetches when one of the document's events comes, and hands on what came.
/// At most one fetch is under way; events meanwhile lead to one more. With
/// `now`, also at once: something may have happened between the page and the
/// stream. A failed fetch changes nothing; the next event tries again.
pub fn refetch<T, Fut>(
    events: &[&str],
    now: bool,
    fetch: impl Fn() -> Fut + 'static,
    take: impl Fn(T) + 'static,
) where
    T: 'static,
    Fut: Future<Output = Result<T, ServerFnError>> + 'static,
{
    let fetch = Rc::new(fetch);
    let take = Rc::new(take);
    let busy = Rc::new(Cell::new(false));
    let again = Rc::new(Cell::new(false));
    let go = move || {
        if busy.replace(true) {
            again.set(true);
            return;
        }
        let (fetch, take) = (fetch.clone(), take.clone());
        let (busy, again) = (busy.clone(), again.clone());
        leptos::task::spawn_local(async move {
            loop {
                again.set(false);
                if let Ok(fresh) = fetch().await {
                    take(fresh);
                }
                if !again.get() {
                    break;
                }
            }
            busy.set(false);
        });
    };
    if now {
        go();
    }
    let listener = Closure::<dyn Fn()>::new(go);
    for name in events.iter().copied().chain([RESYNC]) {
        // Only a detached document refuses a listener.
        let _ =
            document().add_event_listener_with_callback(name, listener.as_ref().unchecked_ref());
    }
    // An island lives as long as its page.
    listener.forget();
}
