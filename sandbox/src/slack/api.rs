//! The part of Slack's Web API that agents use, and the team it serves.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::{APP_ID, BOT_ID, BOT_USER_ID, TEAM_ID, TEAM_NAME, merge, refused, user_id};
use crate::config::Provider;
use crate::store::{Bearer, Holder, Inner, Refused, Shared};
use crate::wire::{Ask, Params};

/// A message that came through `chat.postMessage`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostedMessage {
    pub channel: String,
    pub channel_name: String,
    pub text: String,
    /// The user id it was posted as: the bot's or the person's.
    pub author: String,
    /// The person whose authorisation it was posted under.
    pub email: String,
    /// Slack's message id: seconds and a counter.
    pub ts: String,
}

struct Channel {
    id: String,
    name: &'static str,
    topic: &'static str,
    created: i64,
}

struct Message {
    channel: usize,
    user: String,
    text: String,
    ts: String,
    /// The person behind it; `None` for what was there from the start.
    email: Option<String>,
}

/// The team's channels and what was said in them.
pub(crate) struct Workspace {
    channels: Vec<Channel>,
    messages: Vec<Message>,
}

impl Workspace {
    pub fn seeded(now: i64) -> Workspace {
        let created = now / 1000 - 90 * 86_400;
        let channel = |number: usize, name, topic| Channel {
            id: format!("C{number:09}"),
            name,
            topic,
            created,
        };
        let said = [
            (0, 2, "Good morning! Release 2.1 is nearly there.", 7_200),
            (0, 3, "The notes are ready, I only need a date.", 7_000),
            (1, 3, "The nightly backup took four minutes.", 30_000),
            (1, 2, "Thanks. I will look at the slow query today.", 29_000),
            (2, 2, "Whose bicycle is in the lift?", 90_000),
        ];
        let message =
            |(index, (channel, user, text, ago)): (usize, (usize, usize, &str, i64))| Message {
                channel,
                user: user_id(user),
                text: text.into(),
                ts: format!("{}.{index:06}", now / 1000 - ago),
                email: None,
            };
        Workspace {
            channels: vec![
                channel(1, "general", "Company-wide news"),
                channel(2, "ops", "What runs, and what does not"),
                channel(3, "random", "Everything else"),
            ],
            messages: said.into_iter().enumerate().map(message).collect(),
        }
    }

    /// By id, or by name with or without the #.
    fn find(&self, wanted: &str) -> Option<usize> {
        let name = wanted.strip_prefix('#').unwrap_or(wanted);
        self.channels
            .iter()
            .position(|channel| channel.id == wanted || channel.name == name)
    }

    pub fn posted(&self) -> Vec<PostedMessage> {
        let posted = self.messages.iter().filter_map(|message| {
            let channel = &self.channels[message.channel];
            Some(PostedMessage {
                channel: channel.id.clone(),
                channel_name: channel.name.to_owned(),
                text: message.text.clone(),
                author: message.user.clone(),
                email: message.email.clone()?,
                ts: message.ts.clone(),
            })
        });
        posted.collect()
    }
}

/// The caller, if the token is good and has the scope.
fn caller(inner: &Inner, ask: &Ask, needed: Option<&str>) -> Result<Bearer, Response> {
    let arguments = ask.form();
    let token = ask
        .bearer()
        .or_else(|| arguments.get("token"))
        .ok_or_else(|| refused("not_authed"))?;
    let presented = inner
        .state()
        .present_access(Provider::Slack, token, &ask.faults, inner.now());
    let bearer = presented.map_err(|why| {
        refused(match why {
            Refused::Revoked => "token_revoked",
            Refused::Expired => "token_expired",
            _ => "invalid_auth",
        })
    })?;
    if let Some(needed) = needed
        && !bearer.family.has_scope(&[needed])
    {
        let provided = bearer.family.scopes.join(",");
        let answer = json!({ "ok": false, "error": "missing_scope", "needed": needed, "provided": provided });
        return Err(Json(answer).into_response());
    }
    Ok(bearer)
}

fn answered(bearer: &Bearer, answer: Value) -> Response {
    (
        [("x-oauth-scopes", bearer.family.scopes.join(","))],
        Json(answer),
    )
        .into_response()
}

pub(super) async fn auth_test(State(inner): State<Shared>, ask: Ask) -> Result<Response, Response> {
    let bearer = caller(&inner, &ask, None)?;
    let identity = inner.identity(bearer.family.person, &ask.faults);
    let mut answer = json!({
        "ok": true,
        "url": format!("{}/", inner.base(Provider::Slack)),
        "team": TEAM_NAME,
        "team_id": TEAM_ID,
        "user": identity.handle(),
        "user_id": user_id(identity.number),
        "is_enterprise_install": false,
    });
    if bearer.family.holder == Holder::Bot {
        merge(
            &mut answer,
            json!({ "user": "app", "user_id": BOT_USER_ID, "bot_id": BOT_ID }),
        );
    }
    Ok(answered(&bearer, answer))
}

pub(super) async fn auth_revoke(
    State(inner): State<Shared>,
    ask: Ask,
) -> Result<Response, Response> {
    let bearer = caller(&inner, &ask, None)?;
    let only_test = matches!(ask.arguments().get("test"), Some("1" | "true"));
    if !only_test {
        inner.state().revoke_family(bearer.family_id);
    }
    Ok(answered(
        &bearer,
        json!({ "ok": true, "revoked": !only_test }),
    ))
}

/// A page of a list: `limit` and `cursor` as Slack reads them (the cursor is opaque to clients).
fn paged<T>(all: Vec<T>, arguments: &Params) -> (Vec<T>, String) {
    let start = arguments
        .get("cursor")
        .and_then(|cursor| cursor.strip_prefix("next:")?.parse().ok());
    let start: usize = start.unwrap_or(0);
    let limit = arguments
        .get("limit")
        .and_then(|limit| limit.parse().ok())
        .unwrap_or(100)
        .max(1);
    let total = all.len();
    let page: Vec<T> = all.into_iter().skip(start).take(limit).collect();
    let end = start.saturating_add(page.len());
    let next = if !page.is_empty() && end < total {
        format!("next:{end}")
    } else {
        String::new()
    };
    (page, next)
}

pub(super) async fn conversations(
    State(inner): State<Shared>,
    ask: Ask,
) -> Result<Response, Response> {
    let bearer = caller(&inner, &ask, Some("channels:read"))?;
    let arguments = ask.arguments();
    let types = arguments.get("types").unwrap_or("public_channel");
    let visible = inner.people[bearer.family.person].has_data
        && types.split(',').any(|t| t.trim() == "public_channel");
    let state = inner.state();
    let channels = state.slack.channels.iter().filter(|_| visible).map(|channel| {
        json!({
            "id": channel.id,
            "name": channel.name,
            "name_normalized": channel.name,
            "is_channel": true,
            "is_group": false,
            "is_im": false,
            "is_private": false,
            "is_archived": false,
            "is_general": channel.name == "general",
            "is_member": true,
            "created": channel.created,
            "topic": { "value": channel.topic, "creator": user_id(2), "last_set": channel.created },
            "purpose": { "value": "", "creator": "", "last_set": 0 },
            "num_members": inner.people.iter().filter(|person| person.has_data).count(),
        })
    });
    let (channels, next) = paged(channels.collect(), &arguments);
    let answer =
        json!({ "ok": true, "channels": channels, "response_metadata": { "next_cursor": next } });
    Ok(answered(&bearer, answer))
}

pub(super) async fn history(State(inner): State<Shared>, ask: Ask) -> Result<Response, Response> {
    let bearer = caller(&inner, &ask, Some("channels:history"))?;
    let arguments = ask.arguments();
    let state = inner.state();
    let wanted = arguments.get("channel").unwrap_or_default();
    let channel = state
        .slack
        .channels
        .iter()
        .position(|channel| channel.id == wanted);
    let visible = inner.people[bearer.family.person].has_data;
    let channel = channel
        .filter(|_| visible)
        .ok_or_else(|| refused("channel_not_found"))?;
    let said = state
        .slack
        .messages
        .iter()
        .rev()
        .filter(|message| message.channel == channel);
    let said = said.map(|message| {
        json!({ "type": "message", "user": message.user, "text": message.text, "ts": message.ts })
    });
    let (messages, next) = paged(said.collect(), &arguments);
    let answer = json!({
        "ok": true,
        "messages": messages,
        "has_more": !next.is_empty(),
        "response_metadata": { "next_cursor": next },
    });
    Ok(answered(&bearer, answer))
}

pub(super) async fn post_message(
    State(inner): State<Shared>,
    ask: Ask,
) -> Result<Response, Response> {
    let bearer = caller(&inner, &ask, Some("chat:write"))?;
    let arguments = ask.arguments();
    let text = arguments.get("text").unwrap_or_default().to_owned();
    if text.is_empty()
        && arguments.get("blocks").is_none()
        && arguments.get("attachments").is_none()
    {
        return Err(refused("no_text"));
    }
    if text.chars().count() > 40_000 {
        return Err(refused("msg_too_long"));
    }
    let person = bearer.family.person;
    let mut state = inner.state();
    let channel = arguments
        .get("channel")
        .and_then(|wanted| state.slack.find(wanted));
    let channel = channel
        .filter(|_| inner.people[person].has_data)
        .ok_or_else(|| refused("channel_not_found"))?;
    let user = match bearer.family.holder {
        Holder::Bot => BOT_USER_ID.to_owned(),
        Holder::User => user_id(person + 1),
    };
    let ts = format!("{}.{:06}", inner.now() / 1000, inner.serial() % 1_000_000);
    let mut message = json!({
        "type": "message",
        "user": user,
        "text": text,
        "ts": ts,
        "team": TEAM_ID,
        "app_id": APP_ID,
    });
    if bearer.family.holder == Holder::Bot {
        message["bot_id"] = BOT_ID.into();
    }
    if let Some(thread) = arguments.get("thread_ts") {
        message["thread_ts"] = thread.into();
    }
    let id = state.slack.channels[channel].id.clone();
    let email = Some(inner.people[person].email.clone());
    state.slack.messages.push(Message {
        channel,
        user,
        text,
        ts: ts.clone(),
        email,
    });
    let answer = json!({ "ok": true, "channel": id, "ts": ts, "message": message });
    Ok(answered(&bearer, answer))
}

pub(super) async fn users_info(
    State(inner): State<Shared>,
    ask: Ask,
) -> Result<Response, Response> {
    let bearer = caller(&inner, &ask, Some("users:read"))?;
    let arguments = ask.arguments();
    let wanted = arguments.get("user").unwrap_or_default();
    let person = (0..inner.people.len()).find(|person| user_id(person + 1) == wanted);
    let person = person.ok_or_else(|| refused("user_not_found"))?;
    let identity = inner.identity(person, &ask.faults);
    let mut profile = json!({ "real_name": identity.name, "display_name": identity.handle() });
    if bearer.family.has_scope(&["users:read.email"]) {
        profile["email"] = identity.email.as_str().into();
    }
    let user = json!({
        "id": user_id(identity.number),
        "team_id": TEAM_ID,
        "name": identity.handle(),
        "real_name": identity.name,
        "deleted": false,
        "is_bot": false,
        "tz": "Etc/UTC",
        "profile": profile,
    });
    Ok(answered(&bearer, json!({ "ok": true, "user": user })))
}
