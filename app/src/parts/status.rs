//! Status and time.

use leptos::prelude::*;

use super::icon::{Icon, icon};
use crate::api::{Stamp, Status, Tone};

/// The shape that goes with a tone.
#[must_use]
pub const fn shape(tone: Tone) -> (Icon, &'static str) {
    match tone {
        Tone::Good => (Icon::Tick, "good"),
        Tone::Wait => (Icon::Clock, "wait"),
        Tone::Bad => (Icon::Warning, "bad"),
        Tone::No => (Icon::Cross, "bad"),
        Tone::Quiet => (Icon::Bar, "quiet"),
        Tone::Moving => (Icon::Arc, "info moving"),
    }
}

/// Shape, word and colour.
pub fn status(status: &Status) -> impl IntoView + use<> {
    let (which, class) = shape(status.tone);
    view! { <span class=format!("status {class}")>{icon(which)}{status.word.clone()}</span> }
}

/// The same, in a pill.
pub fn pill(status: &Status) -> impl IntoView + use<> {
    let (which, class) = shape(status.tone);
    view! { <span class=format!("status pill {class}")>{icon(which)}{status.word.clone()}</span> }
}

/// A moment: relative to read, absolute in the attribute and the tooltip.
/// `live.js` keeps it current where scripts run.
pub fn when(stamp: &Stamp) -> impl IntoView + use<> {
    view! {
        <time datetime=stamp.iso.clone() title=stamp.full.clone()>
            {stamp.relative.clone()}
        </time>
    }
}
