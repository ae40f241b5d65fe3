//! Every sentence a person reads comes from `locales/en.ftl`. Resolved on the
//! server only; islands get theirs as props, so no Fluent reaches the browser.

use std::sync::OnceLock;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};

const ENGLISH: &str = include_str!("../locales/en.ftl");

fn bundle() -> &'static FluentBundle<FluentResource> {
    static BUNDLE: OnceLock<FluentBundle<FluentResource>> = OnceLock::new();
    BUNDLE.get_or_init(|| {
        let mut bundle = FluentBundle::new_concurrent(vec![
            unic_langid::LanguageIdentifier::from_bytes(b"en").unwrap_or_default(),
        ]);
        // The isolation marks would end up in attributes and in tests.
        bundle.set_use_isolating(false);
        // Broken entries are left out here; a test names them.
        let resource = match FluentResource::try_new(ENGLISH.to_owned()) {
            Ok(resource) | Err((resource, _)) => resource,
        };
        bundle.add_resource_overriding(resource);
        bundle
    })
}

fn resolve(key: &str, args: Option<&FluentArgs<'_>>) -> Option<String> {
    let bundle = bundle();
    let pattern = bundle.get_message(key)?.value()?;
    let mut errors = Vec::new();
    Some(
        bundle
            .format_pattern(pattern, args, &mut errors)
            .into_owned(),
    )
}

/// The sentence behind a key. An unknown key shows itself; a test finds those.
#[must_use]
pub fn t(key: &str) -> String {
    resolve(key, None).unwrap_or_else(|| key.to_owned())
}

/// The sentence with its blanks filled.
#[must_use]
pub fn tv(key: &str, blanks: &[(&str, &str)]) -> String {
    let mut args = FluentArgs::new();
    for (name, value) in blanks {
        args.set((*name).to_owned(), FluentValue::from((*value).to_owned()));
    }
    resolve(key, Some(&args)).unwrap_or_else(|| key.to_owned())
}

/// The sentence for a number, `$count`.
#[must_use]
pub fn tn(key: &str, count: i64) -> String {
    let mut args = FluentArgs::new();
    args.set("count", count);
    resolve(key, Some(&args)).unwrap_or_else(|| key.to_owned())
}

/// The sentence behind a key that is made at run time, if there is one.
#[must_use]
pub fn known(key: &str, blanks: &[(&str, &str)]) -> Option<String> {
    resolve(key, None).is_some().then(|| tv(key, blanks))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    fn sources(folder: &Path, out: &mut String) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, out);
            } else if path.file_name().is_some_and(|name| name != "words.rs") {
                out.push_str(&std::fs::read_to_string(&path).unwrap());
            }
        }
    }

    fn code() -> String {
        let mut text = String::new();
        sources(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
            &mut text,
        );
        text
    }

    /// The literals that follow these calls.
    fn used(code: &str) -> BTreeSet<&str> {
        let mut keys = BTreeSet::new();
        // The last three stand where a key is handed on.
        for call in ["t(", "tv(", "tn(", "label: ", "hint: Some(", "words: "] {
            for (at, _) in code.match_indices(call) {
                let before = code[..at].chars().next_back();
                if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '.') {
                    continue;
                }
                let rest = code[at + call.len()..].trim_start();
                if let Some(rest) = rest.strip_prefix('"') {
                    keys.insert(rest.split('"').next().unwrap());
                }
            }
        }
        keys
    }

    #[test]
    fn every_key_that_is_used_has_a_sentence() {
        let code = code();
        let used = used(&code);
        assert!(used.len() > 100, "the search found only {}", used.len());
        let missing: Vec<_> = used
            .into_iter()
            .filter(|key| resolve(key, None).is_none())
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn every_sentence_is_used() {
        let code = code();
        let unused: Vec<_> = ENGLISH
            .lines()
            .filter_map(|line| line.split_once(" ="))
            .map(|(key, _)| key)
            .filter(|key| key.starts_with(|c: char| c.is_ascii_lowercase()))
            // Made from the domain's words at run time.
            .filter(|key| !key.starts_with("event-") && !key.starts_with("allow-"))
            .filter(|key| !code.contains(&format!("\"{key}\"")))
            .collect();
        assert!(unused.is_empty(), "{unused:?}");
    }

    #[test]
    fn the_file_has_no_broken_entry() {
        assert!(FluentResource::try_new(ENGLISH.to_owned()).is_ok());
    }

    #[test]
    fn every_kind_of_event_has_a_sentence() {
        let missing: Vec<_> = domain::audit::Kind::ALL
            .iter()
            .map(|kind| crate::api::activity::key(kind.word()))
            .filter(|key| resolve(key, None).is_none())
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn numbers_choose_their_plural() {
        assert_eq!(tn("connection-linked", 1), "1 account linked");
        assert_eq!(tn("connection-linked", 2), "2 accounts linked");
    }
}
