//! Rotation against a model of it: whatever is presented in whatever order,
//! tokens are taken and refused as the rules of RFC 9700 §4.14.2 say.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::oauth::refresh::GRACE_MS;
use crate::oauth::{NewClient, Source, revoke};

/// What somebody does.
#[derive(Clone, Copy, Debug)]
enum Move {
    /// Presents one of the tokens issued so far.
    Present(prop::sample::Index),
    /// Lets so many seconds pass.
    Wait(u64),
    /// Revokes with one of the tokens issued so far.
    Revoke(prop::sample::Index),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        8 => any::<prop::sample::Index>().prop_map(Move::Present),
        3 => prop::sample::select(vec![1, 29, 30, 31, 3600]).prop_map(Move::Wait),
        1 => any::<prop::sample::Index>().prop_map(Move::Revoke),
    ];
    prop::collection::vec(one, 1..14)
}

/// A token as the model knows it.
struct Known {
    token: String,
    parent: Option<usize>,
    /// When it was used first.
    rotated_at: Option<i64>,
    /// A sibling was used in its stead.
    dropped: bool,
}

/// The model: one family.
struct Model {
    tokens: Vec<Known>,
    ended: bool,
}

impl Model {
    /// Whether presenting this token now gives a new one; what that does to
    /// the others.
    fn present(&mut self, which: usize, now: i64) -> bool {
        if self.ended {
            return false;
        }
        let successor_was_used = self
            .tokens
            .iter()
            .any(|token| token.parent == Some(which) && token.rotated_at.is_some());
        let token = &self.tokens[which];
        let good = match token.rotated_at {
            _ if token.dropped => false,
            None => true,
            Some(at) => now - at <= GRACE_MS && !successor_was_used,
        };
        if !good {
            self.ended = true;
            return false;
        }
        let parent = token.parent;
        self.tokens[which].rotated_at.get_or_insert(now);
        for (number, other) in self.tokens.iter_mut().enumerate() {
            if parent.is_some() && other.parent == parent && number != which {
                other.dropped |= other.rotated_at.is_none();
            }
        }
        true
    }
}

async fn play(moves: &[Move]) -> Result<(), TestCaseError> {
    let bench = Bench::new().await;
    let ada = bench.person("ada@example.com").await;
    let mut new = NewClient::confidential("Agent", Source::Command);
    new.redirect_uris = vec!["https://agent.test/callback".to_owned()];
    let (client, secret) = bench.register(new).await;
    let tokens = bench.tokens(&client, &ada, "offline_access").await;
    let first = Known {
        token: refresh_token(&tokens).to_owned(),
        parent: None,
        rotated_at: None,
        dropped: false,
    };
    let mut model = Model {
        tokens: vec![first],
        ended: false,
    };
    for one in moves {
        match one {
            Move::Wait(seconds) => bench.advance(Duration::from_secs(*seconds)),
            Move::Revoke(index) => {
                let which = index.index(model.tokens.len());
                revoke(&bench, &client, &model.tokens[which].token)
                    .await
                    .unwrap();
                model.ended = true;
            }
            Move::Present(index) => {
                let which = index.index(model.tokens.len());
                let expected = model.present(which, bench.now());
                let token = model.tokens[which].token.clone();
                let pairs = [("grant_type", "refresh_token"), ("refresh_token", &*token)];
                let answer = ask(&bench, &client, &secret, &pairs).await;
                prop_assert_eq!(answer.is_ok(), expected, "token {}", which);
                match answer {
                    Ok(answer) => model.tokens.push(Known {
                        token: refresh_token(&answer).to_owned(),
                        parent: Some(which),
                        rotated_at: None,
                        dropped: false,
                    }),
                    Err(error) => prop_assert_eq!(error.code, Code::InvalidGrant),
                }
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn rotation_does_what_its_model_says(moves in moves()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(play(&moves))?;
    }
}
