//! The embedded agent is a client like any other. This test reads its source
//! and refuses whatever would be a back door.

use std::fs;
use std::path::Path;

/// What the agent may name of this crate. A path may go on after an entry only
/// where the entry ends with `::`.
const ALLOWED: &[&str] = &[
    // Its own rooms, the ground floor, and its own events.
    "agent",
    "agent::",
    "Engine",
    "audit::Event",
    "audit::Kind",
    "ids",
    "ids::",
    "keyring",
    "keyring::",
    "rotation::WrappedRows",
    "rotation::wrapped_rows",
    "secret::Secret",
    "storage",
    "storage::",
    // Being a client: registration, and the token endpoint with credentials.
    "oauth::Client",
    "oauth::ClientKind",
    "oauth::Code",
    "oauth::GrantType",
    "oauth::NewClient",
    "oauth::OauthError",
    "oauth::Params",
    "oauth::RequestHead",
    "oauth::Source",
    "oauth::clients",
    "oauth::token",
    // Asking, and taking back what it asked.
    "approval",
    "approval::Ask",
    "approval::AskError",
    "approval::PersonHint",
    // Calling through the proxy, and its errors.
    "vault",
    "vault::AccessMode",
    "vault::Error",
    "vault::proxy",
    "vault::proxy::ProxyAnswer",
    "vault::proxy::ProxyRequest",
];

/// What it may use of the rooms it names as a whole.
const ALLOWED_OF_ROOMS: &[&str] = &[
    "approval::ask",
    "approval::cancel",
    "approval::Asked",
    "approval::DecideError",
    "clients::get",
    "clients::redirect_to",
    "clients::register",
    "clients::Error",
    "token::answer",
    "token::TokenAnswer",
    "vault::Error",
    "vault::proxy",
    "proxy::call",
    "proxy::Error",
];

/// `a::{b, c::{d, e}}` as `a::b`, `a::c::d`, `a::c::e`.
fn expand(tree: &str) -> Vec<String> {
    let Some((head, rest)) = tree.split_once('{') else {
        return vec![tree.trim().trim_end_matches("::self").to_owned()];
    };
    let inside = rest.rsplit_once('}').map_or(rest, |(inside, _)| inside);
    let (mut depth, mut parts, mut part) = (0, Vec::new(), String::new());
    for letter in inside.chars() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(std::mem::take(&mut part));
                continue;
            }
            _ => {}
        }
        part.push(letter);
    }
    parts.push(part);
    parts
        .iter()
        .map(|part| part.trim())
        .filter(|part| !part.is_empty())
        .flat_map(|part| expand(&format!("{}{part}", head.trim())))
        .collect()
}

fn read_folder(folder: &Path, sources: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_folder(&path, sources);
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        // Tests may look behind the curtain; comments name what they like.
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        let code: Vec<&str> = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .collect();
        sources.push((path.display().to_string(), code.join("\n")));
    }
}

fn sources() -> Vec<(String, String)> {
    let mut sources = Vec::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/agent");
    read_folder(&folder, &mut sources);
    assert!(sources.len() >= 10, "the agent's files were not found");
    sources
}

#[test]
fn the_agent_imports_nothing_that_other_clients_do_not_have() {
    for (file, code) in sources() {
        for (at, _) in code.match_indices("crate::") {
            let rest = &code[at + "crate::".len()..];
            let is_use = code[..at].trim_end().ends_with("use");
            let end = if is_use {
                rest.find(';').unwrap_or(rest.len())
            } else {
                rest.find(|letter: char| {
                    !letter.is_alphanumeric() && letter != '_' && letter != ':'
                })
                .unwrap_or(rest.len())
            };
            for path in expand(&rest[..end]) {
                let allowed = ALLOWED.iter().any(|allowed| {
                    path == *allowed || allowed.ends_with("::") && path.starts_with(allowed)
                });
                assert!(allowed, "{file} imports crate::{path}");
            }
        }
    }
}

#[test]
fn of_whole_rooms_it_uses_only_what_a_client_has() {
    for (file, code) in sources() {
        for room in ["approval", "clients", "token", "vault", "proxy"] {
            let start = format!("{room}::");
            for (at, _) in code.match_indices(&start) {
                let before = code[..at].chars().next_back();
                if before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_') {
                    continue;
                }
                // Paths from the root are the other test's.
                if code[..at].ends_with("crate::") || code[..at].ends_with("vault::") {
                    continue;
                }
                let rest = &code[at + start.len()..];
                let end = rest
                    .find(|letter: char| !letter.is_alphanumeric() && letter != '_')
                    .unwrap_or(rest.len());
                if rest.starts_with('{') {
                    panic!("{file} imports several of {room} at once; name them one by one");
                }
                let path = format!("{room}::{}", &rest[..end]);
                assert!(
                    ALLOWED_OF_ROOMS.contains(&path.as_str()),
                    "{file} uses {path}"
                );
            }
        }
    }
}

#[test]
fn the_agent_touches_only_its_own_tables() {
    let foreign = [
        "people",
        "sessions",
        "clients",
        "consents",
        "token_families",
        "authorization_codes",
        "refresh_tokens",
        "connections",
        "accounts",
        "provider_grants",
        "permissions",
        "approvals",
        "decisions",
        "approved_calls",
        "events",
        "keys",
    ];
    for (file, code) in sources() {
        for table in foreign {
            for verb in ["from", "into", "update", "join"] {
                let sql = format!("{verb} {table} ");
                assert!(!code.contains(&sql), "{file} has SQL with `{sql}`");
            }
        }
    }
}
