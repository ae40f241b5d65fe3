//! What Attorn is compared with: the peer and the control.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::Command;

use serde_json::{Value, json};

use crate::meter::Result;
use crate::program::{self, Credentials, Program, RESOURCE};
use crate::setting::Setting;

/// Starts npm `oidc-provider` in memory, with so many refresh tokens.
///
/// # Errors
/// A sentence.
pub fn peer(setting: &Setting, chains: usize) -> Result<Program> {
    let client = Credentials {
        id: "bench".to_owned(),
        secret: "a-secret-as-long-as-those-that-attorn-makes-0123456789".to_owned(),
        person: "person@example.com".to_owned(),
    };
    let mut node = Command::new(setting.peer.join("node_modules/.bin/node"));
    node.arg("peer.mjs")
        .current_dir(&setting.peer)
        .env("NODE_ENV", "production");
    let asked = json!({
        "client": { "id": client.id, "secret": client.secret },
        "person": client.person,
        "resource": RESOURCE,
        "chains": chains,
    });
    let (mut program, said) = begin(setting, "peer", &node, &asked)?;
    program.token = "/token";
    program.backchannel = "/backchannel";
    program.client = client;
    program.refresh_tokens = said
        .get("refresh_tokens")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|token| token.as_str().map(str::to_owned))
        .collect();
    Ok(program)
}

/// Starts the control.
///
/// # Errors
/// A sentence.
pub fn control(setting: &Setting) -> Result<Program> {
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(this);
    command.arg("control");
    let (mut program, _) = begin(setting, "control", &command, &Value::Null)?;
    // As long as Attorn's: the form is read all the same.
    program.client = Credentials {
        id: "cli_0123456789abcdefghijklmnop".to_owned(),
        secret: "att_cs_0123456789abcdefghijklmnopqrstuvwxyz0123456789".to_owned(),
        person: "person@example.com".to_owned(),
    };
    program.refresh_tokens = vec![program.client.secret.clone(); 64];
    Ok(program)
}

/// Starts the provider behind the proxies.
///
/// # Errors
/// A sentence.
pub fn upstream(setting: &Setting) -> Result<Program> {
    ourselves(setting, "upstream", &["upstream"])
}

/// Starts the control of the proxy.
///
/// # Errors
/// A sentence.
pub fn reverse_proxy(setting: &Setting, upstream: &Program) -> Result<Program> {
    let to = upstream.address.to_string();
    ourselves(setting, "control", &["reverse-proxy", &to])
}

fn ourselves(setting: &Setting, name: &'static str, words: &[&str]) -> Result<Program> {
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(this);
    command.args(words);
    Ok(begin(setting, name, &command, &Value::Null)?.0)
}

/// Starts a program that reads a line of JSON and says one with its port.
fn begin(
    setting: &Setting,
    name: &'static str,
    command: &Command,
    asked: &Value,
) -> Result<(Program, Value)> {
    let log = setting.folder(name)?.join("log");
    let file = fs::File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
    let mut child = program::start(command, file)?;
    let mut line = String::new();
    let said = (|| {
        if let Some(stdin) = &mut child.stdin {
            writeln!(stdin, "{asked}")?;
        }
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        Ok::<_, std::io::Error>(())
    })();
    let said = said
        .map_err(|error| error.to_string())
        .and_then(|()| serde_json::from_str::<Value>(&line).map_err(|error| error.to_string()));
    let port = said
        .as_ref()
        .ok()
        .and_then(|said| said.get("port")?.as_u64());
    let Some(port) = port.and_then(|port| u16::try_from(port).ok()) else {
        child.kill().ok();
        child.wait().ok();
        let log = fs::read_to_string(&log).unwrap_or_default();
        return Err(format!("the {name} did not start\n{}", log.trim_end()));
    };
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    Ok((Program::new(name, child, address), said?))
}
