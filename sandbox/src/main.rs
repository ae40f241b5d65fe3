//! The sandbox on its own: `attorn-sandbox --port 4200 --redirect-uri http://localhost:8080/link/callback`.

use std::process::ExitCode;

use sandbox::{Client, Config, Provider, Sandbox};

const USAGE: &str = "usage: attorn-sandbox [--port N] [--host 127.0.0.1|localhost] [--redirect-uri URI]... [--client PROVIDER:ID:SECRET]...";

/// A redirect URI for whoever only looks around with curl.
const DEFAULT_REDIRECT: &str = "http://localhost:8080/callback";

fn configured(mut arguments: impl Iterator<Item = String>) -> Result<Config, String> {
    let mut config = Config::system();
    config.port = 4200;
    let (mut redirect_uris, mut clients) = (Vec::new(), Vec::new());
    while let Some(name) = arguments.next() {
        let mut value = || {
            arguments
                .next()
                .ok_or_else(|| format!("{name} needs a value"))
        };
        match name.as_str() {
            "--port" => {
                config.port = value()?
                    .parse()
                    .map_err(|_| "--port needs a port number".to_owned())?;
            }
            "--host" => config.host = value()?,
            "--redirect-uri" => redirect_uris.push(value()?),
            "--client" => clients.push(client(&value()?)?),
            "--help" | "-h" => return Err(USAGE.to_owned()),
            other => return Err(format!("{other} is not known; {USAGE}")),
        }
    }
    if redirect_uris.is_empty() {
        redirect_uris.push(DEFAULT_REDIRECT.to_owned());
    }
    for provider in Provider::ALL {
        let (id, secret) = (
            format!("sandbox-{provider}"),
            format!("sandbox-{provider}-secret"),
        );
        clients.push((provider, id, secret));
    }
    config.clients = clients
        .into_iter()
        .map(|(provider, id, secret)| Client::new(provider, &id, &secret, redirect_uris.clone()))
        .collect();
    Ok(config)
}

/// A client as it stands behind `--client`.
fn client(text: &str) -> Result<(Provider, String, String), String> {
    let mut parts = text.splitn(3, ':');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(provider), Some(id), Some(secret)) => {
            Ok((provider.parse()?, id.to_owned(), secret.to_owned()))
        }
        _ => Err("--client needs PROVIDER:ID:SECRET".to_owned()),
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let config = match configured(std::env::args().skip(1)) {
        Ok(config) => config,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(2);
        }
    };
    let clients = config.clients.clone();
    let sandbox = match Sandbox::start(config).await {
        Ok(sandbox) => sandbox,
        Err(why) => {
            eprintln!("the sandbox cannot start: {why}");
            return ExitCode::FAILURE;
        }
    };
    println!("sandbox {}", sandbox.url());
    for client in clients {
        println!(
            "{:<10} {}/{}  client {}  secret {}  redirects {}",
            client.provider.as_str(),
            sandbox.url(),
            client.provider,
            client.client_id,
            client.client_secret,
            client.redirect_uris.join(" "),
        );
    }
    // Without a signal to wait for, stopping at once is all that is left.
    let _ = tokio::signal::ctrl_c().await;
    sandbox.stop().await;
    ExitCode::SUCCESS
}
