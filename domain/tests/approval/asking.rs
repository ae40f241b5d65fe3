use domain::approval::{self, Ask, AskError, Filter, PersonHint};
use serde_json::{Value, json};

use crate::story::{ask_of, story};

#[tokio::test]
async fn strangers_and_nobody_are_one_answer() {
    let story = story().await;
    for person in [
        PersonHint::Id("per_nobody".to_owned()),
        PersonHint::Id(story.stranger.id.clone()),
        PersonHint::Email("nobody@example.com".to_owned()),
        PersonHint::Email("stranger@example.com".to_owned()),
        PersonHint::IssSub {
            iss: "https://other.test/".to_owned(),
            sub: story.person.id.clone(),
        },
    ] {
        let ask = Ask {
            person: person.clone(),
            ..ask_of(&story.person)
        };
        let refused = approval::ask(&story.bench, &story.client, ask)
            .await
            .err()
            .unwrap();
        assert_eq!(refused.code(), ("unknown_user_id", 400), "{person:?}");
        assert_eq!(refused.to_string(), AskError::UnknownUser.to_string());
    }
    for person in [
        PersonHint::Email("Anna@Example.com".to_owned()),
        PersonHint::IssSub {
            iss: story.bench.settings.issuer.clone(),
            sub: story.person.id.clone(),
        },
    ] {
        let ask = Ask {
            person,
            ..ask_of(&story.person)
        };
        assert!(
            approval::ask(&story.bench, &story.client, ask)
                .await
                .is_ok()
        );
    }
}

#[tokio::test]
async fn a_request_that_cannot_be_shown_or_kept_is_refused() {
    let story = story().await;
    let ask = || ask_of(&story.person);
    let long = "x".repeat(65);
    let cases: Vec<(Ask, &str)> = vec![
        (
            Ask {
                binding_message: Some("a\u{202e}b".to_owned()),
                ..ask()
            },
            "invalid_binding_message",
        ),
        (
            Ask {
                binding_message: Some(long),
                ..ask()
            },
            "invalid_binding_message",
        ),
        (
            Ask {
                details: Some(json!([{"type": "unheard"}])),
                ..ask()
            },
            "invalid_authorization_details",
        ),
        (
            Ask {
                details: Some(json!([
                    {"type": "demonstration", "a": "x".repeat(900), "b": "x".repeat(900), "c": "x".repeat(900)},
                    {"type": "demonstration", "a": "x".repeat(900), "b": "x".repeat(900)},
                ])),
                ..ask()
            },
            "invalid_authorization_details",
        ),
        (
            Ask {
                details: Some(json!([])),
                ..ask()
            },
            "invalid_authorization_details",
        ),
        (
            Ask {
                requested_expiry_s: Some(0),
                ..ask()
            },
            "invalid_request",
        ),
        (
            Ask {
                requested_expiry_s: Some(72 * 3600 + 1),
                ..ask()
            },
            "invalid_request",
        ),
        (
            Ask {
                scopes: vec![],
                ..ask()
            },
            "invalid_scope",
        ),
        (
            Ask {
                scopes: vec!["openid".to_owned(), "admin".to_owned()],
                ..ask()
            },
            "invalid_scope",
        ),
        (
            Ask {
                audience: Some("https://elsewhere.test/".to_owned()),
                ..ask()
            },
            "invalid_target",
        ),
    ];
    for (ask, code) in cases {
        let shown = format!("{ask:?}");
        let refused = approval::ask(&story.bench, &story.client, ask)
            .await
            .err()
            .unwrap();
        assert_eq!(refused.code().0, code, "{shown}");
    }
    let none = approval::list(&story.bench, &story.person.id, Filter::All, 100)
        .await
        .unwrap();
    assert_eq!(none, []);
}

#[tokio::test]
async fn what_is_shown_is_ours_and_says_who_enforces_it() {
    let story = story().await;
    let asked = story.asked().await;
    let seen = approval::get(&story.bench, &story.person.id, &asked.approval_id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(seen.shown.title, "Deploy a service");
    assert_eq!(seen.shown.agent, "Release bot");
    assert_eq!(seen.shown.enforced_by, approval::EnforcedBy::Agent);
    assert_eq!(seen.binding_message.as_deref(), Some("K7-42"));
    let plain = Ask {
        details: None,
        ..ask_of(&story.person)
    };
    let asked = approval::ask(&story.bench, &story.client, plain)
        .await
        .unwrap();
    let seen = approval::get(&story.bench, &story.person.id, &asked.approval_id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(seen.details, Value::Array(vec![]));
    assert_eq!(seen.shown.title, "Confirm a request");
}

#[tokio::test]
async fn a_message_over_a_connection_that_nobody_set_up_is_refused() {
    let story = story().await;
    let details = json!([{"type": "slack_message", "connection": "no-such", "channel": "general", "text": "hi"}]);
    let ask = Ask {
        details: Some(details),
        ..ask_of(&story.person)
    };
    let refused = approval::ask(&story.bench, &story.client, ask)
        .await
        .err()
        .unwrap();
    assert_eq!(refused.code().0, "invalid_authorization_details");
}
