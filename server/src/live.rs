//! Live pages: one server-sent event stream a browser.
//!
//! A message says only that something of a kind changed (`topic`, `id`); the
//! page asks for the truth itself. A person hears of their own things; an
//! admin also of what belongs to nobody. The stream ends when the session
//! does: it is looked up again before every message, and at each beat.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use domain::identity::Role;
use domain::storage::Signal;
use futures::stream::{self, Stream};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::door::Door;
use crate::session::SignedIn;

struct Listening {
    door: Door,
    signed_in: SignedIn,
    signals: Receiver<Signal>,
    greeted: bool,
}

/// `GET /live`
pub async fn live(
    State(door): State<Door>,
    signed_in: SignedIn,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let signals = door.engine.store.signals();
    let listening = Listening {
        door,
        signed_in,
        signals,
        greeted: false,
    };
    let events = stream::unfold(listening, |mut listening| async move {
        if !listening.greeted {
            // Whatever changed before the stream began is looked at now.
            listening.greeted = true;
            return Some((Ok(Event::default().event("hello").data("{}")), listening));
        }
        loop {
            match listening.signals.recv().await {
                Ok(signal) if listening.concerns(&signal) => {
                    if !listening.still_signed_in().await {
                        return None;
                    }
                    let data =
                        serde_json::json!({ "topic": signal.topic, "id": signal.id }).to_string();
                    return Some((Ok(Event::default().event("change").data(data)), listening));
                }
                Ok(_) => {}
                // Messages were missed: the page looks at everything again.
                Err(RecvError::Lagged(_)) => {
                    return Some((Ok(Event::default().event("hello").data("{}")), listening));
                }
                Err(RecvError::Closed) => return None,
            }
        }
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(15)))
}

impl Listening {
    fn concerns(&self, signal: &Signal) -> bool {
        match &signal.person {
            Some(person) => *person == self.signed_in.person.id || self.is_admin(),
            None => self.is_admin(),
        }
    }

    fn is_admin(&self) -> bool {
        self.signed_in.person.role == Role::Admin
    }

    async fn still_signed_in(&self) -> bool {
        let session =
            domain::identity::sessions::load(&self.door.engine, &self.signed_in.session_id).await;
        let person = domain::identity::person(&self.door.engine, &self.signed_in.person.id).await;
        matches!(session, Ok(Some(_)))
            && matches!(person, Ok(Some(person))
                if person.state == domain::identity::State::Active && person.role == self.signed_in.person.role)
    }
}
