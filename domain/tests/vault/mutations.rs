//! What was approved is what runs: an approved call changed in one place, a
//! hundred thousand times. What would be another call is never accepted; what
//! says the same in other words is sent in the approved ones.

use std::sync::Arc;

use domain::approval::types::{self, Details};
use domain::approval::{AgentCall, ExactCall};
use domain::ids::{Rng as _, SeededRng};
use domain::oauth::RequestHead;
use domain::vault::proxy::{self, Error, ProxyRequest};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use sandbox::Provider;
use serde_json::{Value, json};

use crate::approved::{approve, approved};
use crate::stage::Stage;

/// Chance that is the same in every run.
struct Dice(SeededRng);

impl Dice {
    fn below(&self, most: usize) -> usize {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        let roll = u64::from_le_bytes(bytes) % u64::try_from(most.max(1)).unwrap();
        usize::try_from(roll).unwrap()
    }

    fn pick<'a, T: ?Sized>(&self, all: &[&'a T]) -> &'a T {
        all[self.below(all.len())]
    }

    /// Somewhere between two characters.
    fn place(&self, text: &str) -> usize {
        let mut at = self.below(text.len() + 1);
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    }
}

/// What a change comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Means {
    /// It would be another call.
    Another,
    /// It says the same: accepted or not, only the approved bytes may leave.
    TheSame,
}

fn entries() -> Vec<Value> {
    vec![
        json!({"type": "slack_message", "connection": "sign-in-with-slack", "channel": "general", "text": "Größe 2.1 is out: 10 of 12"}),
        json!({"type": "call", "connection": "sign-in-with-slack", "method": "POST", "path": "/v1/Things/caf%C3%A9", "query": "a=1&b=two+words&c=%C3%A9",
            "body": {"amount": 100, "flags": [true, null], "name": "Zoë", "nested": {"id": 7}}}),
        json!({"type": "call", "connection": "sign-in-with-slack", "method": "DELETE", "path": "/v1/things/7"}),
        json!({"type": "call", "connection": "sign-in-with-slack", "host": "files.slack.com", "method": "PUT", "path": "/v1/x",
            "content_type": "text/plain", "body": "line one\r\nline two "}),
        json!({"type": "calendar_event", "connection": "google-oauth2", "summary": "Réunion", "start": "2026-11-26T10:00:00+01:00",
            "end": "2026-11-26T11:00:00+01:00", "attendees": ["grace@example.com"], "invite": true}),
        json!({"type": "gmail_send", "connection": "google-oauth2", "to": ["grace@example.com"], "subject": "Größe", "text": "a\nb"}),
        json!({"type": "salesforce_update", "connection": "salesforce", "object": "Opportunity", "id": "006000000000001AAA",
            "fields": {"Amount": 1500, "StageName": "Closed Won"}}),
    ]
}

fn compile(entry: &Value) -> Option<ExactCall> {
    let text = json!([entry]).to_string();
    let [details] = &types::parse(&types::from_text(&text).ok()?).ok()?[..] else {
        return None;
    };
    details.call("acc_1")
}

/// The request that an agent sends for a call.
fn request(call: &ExactCall) -> AgentCall {
    let mut headers = call.headers.clone();
    headers.push(("accept".to_owned(), "*/*".to_owned()));
    AgentCall {
        connection: call.connection.clone(),
        host: call.host.clone(),
        method: call.method.clone(),
        path_and_query: call.path_and_query.clone(),
        headers,
        body: call.body.clone(),
    }
}

fn method(dice: &Dice, asked: &mut AgentCall) -> Means {
    let other = [
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND",
        "",
    ];
    match dice.below(4) {
        0 => asked.method = asked.method.to_lowercase(),
        1 => asked
            .method
            .push_str(dice.pick(&[" ", "\t", "\r\n", "\0", "S", "\u{200b}"])),
        2 => {
            asked.method = asked
                .method
                .replacen('T', "\u{ff34}", 1)
                .replacen('E', "\u{395}", 1)
        }
        _ => dice.pick(&other).clone_into(&mut asked.method),
    }
    Means::Another
}

fn connection(dice: &Dice, asked: &mut AgentCall) -> Means {
    match dice.below(5) {
        0 => asked.connection = asked.connection.to_uppercase(),
        1 => asked
            .connection
            .push_str(dice.pick(&[".", "/", " ", "%00", "\0", "2", "/../x"])),
        2 => {
            asked.connection = asked
                .connection
                .replacen('i', "\u{456}", 1)
                .replacen('e', "\u{435}", 1)
        }
        3 => {
            asked.connection = asked
                .connection
                .replacen('-', "%2D", 1)
                .replacen('s', "%73", 1)
        }
        _ => dice
            .pick(&["google", "slack", "sign-in-with-slack-2", "", "other"])
            .clone_into(&mut asked.connection),
    }
    Means::Another
}

fn host(dice: &Dice, asked: &mut AgentCall) -> Means {
    asked.host = match asked.host.take() {
        Some(host) => match dice.below(5) {
            0 => None,
            1 => Some(host.to_uppercase()),
            2 => Some(format!(
                "{host}{}",
                dice.pick(&[".", ":443", "@evil.example", "/x", "%00", " "])
            )),
            3 => Some(format!("{}{host}", dice.pick(&["evil.", "x@", ".", "~"]))),
            _ => Some("gmail.googleapis.com.evil.example".to_owned()),
        },
        None => Some(
            dice.pick(&[
                "slack.com",
                "files.slack.com",
                "",
                "evil.example",
                "127.0.0.1",
                "[::1]",
            ])
            .to_owned(),
        ),
    };
    Means::Another
}

fn path(dice: &Dice, asked: &mut AgentCall) -> Means {
    let old = asked.path_and_query.clone();
    let at = dice.place(&old);
    let end = old.find('?').unwrap_or(old.len());
    let mut new = old.clone();
    match dice.below(9) {
        // A character in its percent-encoding, in either case.
        0 if at < old.len() => {
            let byte = old.as_bytes()[at];
            let code = if dice.below(2) == 0 {
                format!("%{byte:02X}")
            } else {
                format!("%{byte:02x}")
            };
            new.replace_range(at..=at, &code);
        }
        // Hexadecimal digits in the other case, and characters without their encoding.
        1 => new = old.replace("%C3", "%c3").replace("%A9", "%a9"),
        2 => new = old.replace("%C3%A9", "é").replace('+', "%20"),
        // Dot segments and empty ones.
        3 => {
            let from = old[..end].rfind('/').unwrap();
            new.insert_str(
                from,
                dice.pick(&["/.", "/x/..", "/", "/%2e", "/x/%2E%2e", "/;", "\\", "/%2f"]),
            );
        }
        4 => new.insert_str(
            end,
            dice.pick(&["/", "/.", "/..", ";v=1", "%00", "%20", ".json", "#x"]),
        ),
        5 => new.push_str(dice.pick(&[
            "?",
            "&",
            "#",
            "?a=b",
            "&a=1",
            "&_HttpMethod=DELETE",
            "?_method=PUT",
            "%0d%0ax: y",
            " HTTP/1.1\r\nx: y",
        ])),
        // The query in another order, or a part of it twice.
        6 if end < old.len() => {
            let mut parts: Vec<_> = old[end + 1..].split('&').collect();
            let part = dice.below(parts.len());
            let moved = parts[part];
            if dice.below(2) == 0 {
                parts.remove(part);
            }
            parts.insert(dice.below(parts.len() + 1), moved);
            new = format!("{}?{}", &old[..end], parts.join("&"));
        }
        7 => {
            new = old
                .chars()
                .rev()
                .skip(1)
                .collect::<String>()
                .chars()
                .rev()
                .collect()
        }
        _ => new.insert_str(
            at,
            dice.pick(&[
                "a", "\u{200b}", "é", "e\u{301}", "%", "\u{2044}", "\r\n", "\t", "//",
            ]),
        ),
    }
    asked.path_and_query = new;
    Means::Another
}

fn random_case(dice: &Dice, text: &str) -> String {
    let flip = |letter: char| {
        if dice.below(2) == 0 {
            letter.to_ascii_uppercase()
        } else {
            letter.to_ascii_lowercase()
        }
    };
    text.chars().map(flip).collect()
}

fn header(dice: &Dice, asked: &mut AgentCall) -> Means {
    let typed = asked
        .headers
        .iter()
        .position(|(name, _)| name == "content-type");
    match (dice.below(8), typed) {
        (0, _) => {
            let name = dice.pick(&[
                "x-http-method-override",
                "x-method-override",
                "x-http-method",
            ]);
            let value = dice.pick(&["DELETE", "GET", "POST", ""]);
            asked
                .headers
                .push((random_case(dice, name), value.to_owned()));
            Means::Another
        }
        (1, _) => {
            let value = dice.pick(&["gzip", "br", "deflate", "x-gzip", "identity, gzip", ""]);
            asked
                .headers
                .push((random_case(dice, "content-encoding"), value.to_owned()));
            Means::Another
        }
        (2, Some(at)) => {
            let more = dice.pick(&[
                "; charset=utf-16",
                "; charset=iso-8859-1",
                "; boundary=x",
                ", text/html",
                ";q=1",
                "\r\nx: y",
                "x",
                "; charset=utf-7",
            ]);
            asked.headers[at].1.push_str(more);
            Means::Another
        }
        (3, Some(at)) => {
            let other = dice.pick(&[
                "text/html",
                "application/xml",
                "application/x-www-form-urlencoded",
                "multipart/form-data; boundary=x",
                "",
            ]);
            other.clone_into(&mut asked.headers[at].1);
            Means::Another
        }
        (4, Some(at)) => {
            if dice.below(2) == 0 {
                asked.headers.remove(at);
            } else {
                let twice = asked.headers[at].clone();
                asked.headers.insert(
                    dice.below(asked.headers.len() + 1),
                    (random_case(dice, "content-type"), twice.1),
                );
            }
            Means::Another
        }
        (2..=4, None) => {
            asked.headers.push((
                random_case(dice, "content-type"),
                dice.pick(&["application/json", "text/plain", ""])
                    .to_owned(),
            ));
            Means::Another
        }
        // Names and media types are the same in any case (RFC 9110 §5.1, §8.3.1).
        (5, Some(at)) => {
            asked.headers[at].0 = random_case(dice, "content-type");
            asked.headers[at].1 = random_case(dice, &asked.headers[at].1);
            Means::TheSame
        }
        (6, Some(at)) => {
            asked.headers[at].1 = asked.headers[at]
                .1
                .replace("; ", dice.pick(&[";", ";  ", ";\t", "; "]));
            Means::TheSame
        }
        _ => {
            let name = dice.pick(&[
                "x-forwarded-host",
                "user-agent",
                "accept-language",
                "transfer-encoding",
                "content-length",
                "host",
                "expect",
                "x-forwarded-proto",
                "cookie",
            ]);
            asked.headers.push((
                random_case(dice, name),
                dice.pick(&["evil.example", "chunked", "0", "100-continue", "a=b"])
                    .to_owned(),
            ));
            Means::TheSame
        }
    }
}

fn body(dice: &Dice, asked: &mut AgentCall) -> Means {
    let old = asked.body.clone();
    let text = String::from_utf8(old.clone()).unwrap();
    let at = dice.below(old.len() + 1);
    let is_object = text.starts_with('{');
    let replaced = |from: &str, to: &str| text.replacen(from, to, 1).into_bytes();
    asked.body = match dice.below(12) {
        0 if at < old.len() => {
            let mut new = old;
            new[at] ^= 1 << dice.below(8);
            new
        }
        1 if at < old.len() => {
            let mut new = old;
            new.remove(at);
            new
        }
        2 => {
            let mut new = old;
            new.insert(at, u8::try_from(dice.below(256)).unwrap());
            new
        }
        // Trailing data, and what stands in front.
        3 => [
            old.as_slice(),
            dice.pick(&[
                "\n",
                " ",
                "\0",
                "{}",
                "\r\n0\r\n\r\n",
                ",",
                "//",
                "\u{feff}",
            ])
            .as_bytes(),
        ]
        .concat(),
        4 => [
            dice.pick(&["\u{feff}", " ", "\n", ")]}',\n", "\0"])
                .as_bytes(),
            &old,
        ]
        .concat(),
        // The same key twice, first or last.
        5 if is_object => {
            let name = text.split('"').nth(1).unwrap_or("a");
            let value = dice.pick(&["1", "null", "\"x\"", "{}"]);
            if dice.below(2) == 0 {
                format!("{{\"{name}\":{value},{}", &text[1..]).into_bytes()
            } else {
                format!("{},\"{name}\":{value}}}", &text[..text.len() - 1]).into_bytes()
            }
        }
        // Forms of numbers.
        6 => {
            let number = dice.pick(&["100", "7", "1500", "12", "10", "2"]);
            let form = dice.pick(&[".0", "e0", "E+0", "00e-2", "0"]);
            match dice.below(3) {
                0 => replaced(number, &format!("{number}{form}")),
                1 => replaced(number, &format!("\"{number}\"")),
                _ => replaced(
                    number,
                    &format!("{}{number}", dice.pick(&["+", "-", "0", " ", "0x"])),
                ),
            }
        }
        // Forms of letters.
        7 => match dice.below(5) {
            0 => replaced("ö", "o\u{308}"),
            1 => replaced(
                "ö",
                dice.pick(&["\\u00f6", "\\u00F6", "\u{f6}\u{200b}", "oe"]),
            ),
            2 => replaced("ë", dice.pick(&["e\u{308}", "\\u00eb", "\u{451}"])),
            3 => replaced("a", dice.pick(&["\u{430}", "\\u0061", "A", "\u{ff41}"])),
            _ => replaced("/", "\\/"),
        },
        // Letters in the other case: of a key, of a value, of `true`.
        8 => {
            let from = dice.place(&text);
            let next = text[from..].find(|letter: char| letter.is_ascii_alphabetic());
            let mut new = text.clone().into_bytes();
            if let Some(next) = next {
                new[from + next] ^= 0x20;
            }
            new
        }
        // White space between the parts.
        9 => {
            let part = dice.pick(&[":", ",", "{", "}", "[", "]"]);
            replaced(
                part,
                &format!("{part}{}", dice.pick(&[" ", "\n", "\t", "\r\n"])),
            )
        }
        10 => match serde_json::from_slice::<Value>(&old) {
            Ok(Value::Object(members)) if members.len() > 1 => {
                // In another order, which is no longer the canonical one.
                let parts = members
                    .iter()
                    .rev()
                    .map(|(name, value)| format!("{}:{value}", json!(name)));
                format!("{{{}}}", parts.collect::<Vec<_>>().join(",")).into_bytes()
            }
            _ => Vec::new(),
        },
        _ => old[..at.min(old.len())].to_vec(),
    };
    Means::Another
}

/// Details written otherwise, one member changed.
fn details(dice: &Dice, entry: &Value) -> Value {
    let mut entry = entry.clone();
    let members = entry.as_object_mut().unwrap();
    let names: Vec<String> = members
        .keys()
        .filter(|name| *name != "type")
        .cloned()
        .collect();
    let name = &names[dice.below(names.len())];
    let value = members.get_mut(name).unwrap();
    match value {
        Value::String(text) => {
            let at = dice.place(text);
            match dice.below(6) {
                0 => text.insert_str(
                    at,
                    dice.pick(&["x", " ", "\u{301}", "%20", "/", "\u{200d}", "0"]),
                ),
                1 => *text = text.to_uppercase(),
                2 => *text = text.replace('ö', "o\u{308}"),
                3 => *text = format!("#{text}"),
                4 => *text = format!(" {text} "),
                _ => {
                    text.pop();
                }
            }
        }
        Value::Bool(yes) => *yes = !*yes,
        Value::Array(all) if dice.below(2) == 0 => all.push("eve@example.com".into()),
        Value::Array(all) => all.clear(),
        Value::Object(inner) => {
            let number = i64::try_from(dice.below(9)).unwrap();
            inner.insert(
                dice.pick(&["Amount", "more", "name", "amount"]).to_owned(),
                number.into(),
            );
        }
        _ => *value = Value::Null,
    }
    if dice.below(20) == 0 {
        members.insert("more".to_owned(), json!(1));
    }
    entry
}

/// The first of these that differs is what the request is refused for.
fn mutated(dice: &Dice, call: &ExactCall) -> (AgentCall, Means) {
    let mut asked = request(call);
    let change = [
        method, connection, host, path, header, body, path, header, body,
    ];
    let means = change[dice.below(change.len())](dice, &mut asked);
    (asked, means)
}

/// Whether a change came to nothing.
fn is_as_it_was(asked: &AgentCall, call: &ExactCall) -> bool {
    let was = request(call);
    (
        &asked.connection,
        &asked.host,
        &asked.method,
        &asked.path_and_query,
        &asked.headers,
        &asked.body,
    ) == (
        &was.connection,
        &was.host,
        &was.method,
        &was.path_and_query,
        &was.headers,
        &was.body,
    )
}

#[test]
fn of_a_hundred_thousand_changes_none_that_means_another_call_is_accepted() {
    let dice = Dice(SeededRng::new(7));
    let calls: Vec<_> = entries()
        .iter()
        .map(|entry| compile(entry).unwrap())
        .collect();
    let (mut others, mut same, mut accepted) = (0, 0, 0);
    while others < 100_000 {
        let call = &calls[dice.below(calls.len())];
        let (asked, means) = mutated(&dice, call);
        if is_as_it_was(&asked, call) {
            continue;
        }
        let answer = call.same_as(&asked);
        match means {
            Means::Another => {
                others += 1;
                assert!(answer.is_err(), "{asked:?}\nis no {call:?}");
            }
            Means::TheSame => {
                same += 1;
                accepted += usize::from(answer.is_ok());
            }
        }
    }
    assert!(others >= 100_000 && same >= 5_000, "{others} {same}");
    assert!(accepted > 3_000, "what says the same is taken: {accepted}");
}

#[test]
fn details_that_differ_in_their_normal_form_make_a_call_that_the_old_approval_does_not_cover() {
    let dice = Dice(SeededRng::new(11));
    let entries = entries();
    let (mut refused, mut others, mut same) = (0, 0, 0);
    while others < 20_000 {
        let entry = &entries[dice.below(entries.len())];
        let approved = compile(entry).unwrap();
        let changed = details(&dice, entry);
        let Some(call) = compile(&changed) else {
            refused += 1;
            continue;
        };
        let covered = approved.same_as(&request(&call)).is_ok();
        // The digest is what the person signed.
        assert_eq!(covered, approved.digest() == call.digest(), "{changed}");
        if covered {
            same += 1;
            assert_eq!(approved.body, call.body);
        } else {
            others += 1;
        }
    }
    assert!(refused > 1_000 && same > 100, "{refused} {same}");
}

/// As it goes through the proxy's door; `None` for what HTTP cannot carry.
fn through_the_door(asked: AgentCall) -> Option<ProxyRequest> {
    let mut headers = HeaderMap::new();
    for (name, value) in asked.headers {
        headers.append(
            HeaderName::try_from(name).ok()?,
            HeaderValue::try_from(value).ok()?,
        );
    }
    Some(ProxyRequest {
        connection: asked.connection,
        host: asked.host,
        method: Method::from_bytes(asked.method.as_bytes()).ok()?,
        path_and_query: asked.path_and_query,
        headers,
        body: asked.body.into(),
    })
}

#[tokio::test]
async fn a_changed_request_never_reaches_the_provider_and_uses_nothing_up() {
    let stage = Stage::new().await;
    let (client, _) = stage.bench.client("Agent").await;
    let account = stage.link(Provider::Slack).await;
    let (approval, token) = approved(&stage, &client, &account).await;
    let call = approval.call.clone().unwrap();
    let dice = Dice(SeededRng::new(13));
    let before = stage.control.requests(Provider::Slack).len();
    let mut tried = 0;
    while tried < 400 {
        let (asked, means) = mutated(&dice, &call);
        if means == Means::TheSame || is_as_it_was(&asked, &call) {
            continue;
        }
        let words = format!("{asked:?}");
        let Some(request) = through_the_door(asked) else {
            continue;
        };
        tried += 1;
        let answer = proxy::call(&stage, &RequestHead::bearer(token.expose()), request).await;
        assert!(
            matches!(answer, Err(Error::Approval(_) | Error::Refused(_))),
            "{words}"
        );
    }
    assert_eq!(stage.control.requests(Provider::Slack).len(), before);
    let good = through_the_door(request(&call)).unwrap();
    proxy::call(&stage, &RequestHead::bearer(token.expose()), good)
        .await
        .unwrap();
    assert_eq!(stage.control.posted_messages().len(), 1);
}

#[tokio::test]
async fn what_says_the_same_in_other_words_is_sent_in_the_approved_ones() {
    let stage = Arc::new(Stage::new().await);
    let (client, _) = stage.bench.client("Agent").await;
    let account = stage.link(Provider::Slack).await;
    let dice = Dice(SeededRng::new(17));
    let mut sent = 0;
    while sent < 30 {
        let details = json!({"type": "slack_message", "connection": "sign-in-with-slack", "channel": "general", "text": format!("Größe {sent}")});
        let (approval, token) = approve(&stage, &client, &account, details).await;
        let call = approval.call.clone().unwrap();
        let request = loop {
            let (asked, means) = mutated(&dice, &call);
            let taken = means == Means::TheSame && call.same_as(&asked).is_ok();
            if taken && let Some(request) = through_the_door(asked) {
                break request;
            }
        };
        proxy::call(&stage, &RequestHead::bearer(token.expose()), request)
            .await
            .unwrap();
        sent += 1;
        let came = stage.control.requests(Provider::Slack).pop().unwrap();
        assert_eq!((&came.method, &came.body), (&call.method, &call.body));
        let typed = came.header("content-type").unwrap();
        assert_eq!(typed, call.headers[0].1);
        for dropped in ["cookie", "x-forwarded-host", "x-forwarded-proto", "expect"] {
            assert_eq!(came.header(dropped), None, "{dropped}");
        }
        let length = came.header("content-length").unwrap();
        assert_eq!(length, call.body.len().to_string());
        let Details::SlackMessage(_) = &types::parse(&approval.details).unwrap()[0] else {
            panic!("{:?}", approval.details)
        };
    }
    assert_eq!(stage.control.posted_messages().len(), 30);
}

/// The agent's request does not say whose account: the approval does.
#[tokio::test]
async fn another_account_of_the_same_service_is_never_called() {
    let stage = Stage::new().await;
    let (client, _) = stage.bench.client("Agent").await;
    let account = stage.link(Provider::Slack).await;
    let (approval, token) = approved(&stage, &client, &account).await;
    let other = stage
        .try_link(Provider::Slack, "grace@example.com")
        .await
        .unwrap()
        .account;
    domain::vault::accounts::make_default(&stage, &stage.ada.id, &other.id)
        .await
        .unwrap();
    let good = through_the_door(request(&approval.call.clone().unwrap())).unwrap();
    proxy::call(&stage, &RequestHead::bearer(token.expose()), good)
        .await
        .unwrap();
    let posted = stage.control.posted_messages();
    assert_eq!(posted[0].email, "ada@example.com");
}
