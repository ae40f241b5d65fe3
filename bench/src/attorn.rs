//! Attorn under load: the real program, `attorn serve`, on a database of its own, with a client and a
//! person made by its commands, and everything else asked for over HTTP as any client would.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use http::{Method, StatusCode, header};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use url::Url;

use crate::meter::Result;
use crate::program::{self, Credentials, Program, RESOURCE};
use crate::setting::{Postgres, Setting};
use crate::wire::{Answer, Connection, form};

/// The setting that keeps others from the program's memory.
const PRIVATE_MEMORY: &str = "ATTORN_SERVER__PRIVATE_MEMORY";
const EMAIL: &str = "person@example.com";
const PASSWORD: &str = "a-password-for-the-bench";
const REDIRECT: &str = "https://client.example.com/callback";
/// The pair of RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// Starts Attorn on a new SQLite file, with so many refresh tokens.
///
/// # Errors
/// A sentence with what it said.
pub async fn on_sqlite(setting: &Setting, name: &'static str, chains: usize) -> Result<Program> {
    let folder = setting.folder(name)?;
    let database = format!("sqlite:{}", folder.join("data/attorn.db").display());
    start(setting, name, &folder, &database, chains).await
}

/// Starts Attorn on a new database of this PostgreSQL server.
///
/// # Errors
/// A sentence with what it said.
pub async fn on_postgres(
    setting: &Setting,
    postgres: &Postgres,
    name: &'static str,
    chains: usize,
) -> Result<Program> {
    let folder = setting.folder(name)?;
    let database = format!("bench_{}", setting.number());
    let says = |error: sqlx::Error| format!("PostgreSQL: {error}");
    let mut connection = PgConnection::connect(&postgres.url).await.map_err(says)?;
    // The name is ours, and not worth a placeholder, which `create database` does not take.
    connection
        .execute(AssertSqlSafe(format!("create database {database}")))
        .await
        .map_err(says)?;
    connection.close().await.map_err(says)?;
    let mut url = Url::parse(&postgres.url).map_err(|error| error.to_string())?;
    url.set_path(&database);
    let mut program = start(setting, name, &folder, url.as_str(), chains).await?;
    program.database_pid = postgres.pid;
    Ok(program)
}

async fn start(
    setting: &Setting,
    name: &'static str,
    folder: &Path,
    database: &str,
    chains: usize,
) -> Result<Program> {
    let port = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .map_err(|error| format!("no free port: {error}"))?
        .port();
    let log = folder.join("log");
    let file = || {
        fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .map_err(|error| format!("{}: {error}", log.display()))
    };
    let attorn = || {
        let mut command = Command::new(&setting.attorn);
        command
            .current_dir(folder)
            .env("ATTORN_SERVER__LISTEN", format!("127.0.0.1:{port}"))
            .env(
                "ATTORN_SERVER__PUBLIC_URL",
                format!("http://localhost:{port}/"),
            )
            .env("ATTORN_DATABASE__URL", database)
            .envs(
                folder
                    .join("attorn.toml")
                    .is_file()
                    .then(|| ("ATTORN_CONFIG", folder.join("attorn.toml"))),
            )
            .env("ATTORN_VAULT__KEY_FILE", folder.join("key/attorn.key"))
            // A profiler reads the program's memory.
            .env(PRIVATE_MEMORY, setting.profiles.is_none().to_string())
            // What is measured is the work, not the limit.
            .env("ATTORN_LIMITS__CLIENT_PER_SECOND", "0")
            .env("ATTORN_LIMITS__APPROVALS_PER_MINUTE", "0")
            .env("ATTORN_LIMITS__APPROVALS_WAITING", "0")
            // A profiler reads the program's memory.
            .env(PRIVATE_MEMORY, setting.profiles.is_none().to_string())
            // The push service of a scenario is here.
            .env("ATTORN_OUTBOUND__ALLOW_LOOPBACK", "true");
        command
    };
    fs::create_dir_all(folder.join("key")).map_err(|error| error.to_string())?;
    let mut user = attorn();
    user.args(["user", "create", EMAIL, "--name", "Person"]);
    said(&mut user, PASSWORD)?;
    let mut client = attorn();
    client.args(["client", "create", "Bench", "--redirect-uri", REDIRECT]);
    client.args(["--audience", RESOURCE]);
    let registered = said(&mut client, "")?;
    let value = |name: &str| {
        registered
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
            .map(str::to_owned)
            .ok_or_else(|| format!("`attorn client create` did not say {name}"))
    };

    let mut serve = attorn();
    serve.arg("serve");
    let child = program::start(&serve, file()?)?;
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut program = Program::new(name, child, address);
    program.client = Credentials {
        id: value("client_id")?,
        secret: value("client_secret")?,
        person: EMAIL.to_owned(),
    };
    ready(&mut program).await.map_err(|error| {
        let log = fs::read_to_string(&log).unwrap_or_default();
        format!("{error}\n{}", log.trim_end())
    })?;
    // One at the least: an agent may ask only people it has to do with.
    program.refresh_tokens = Browser::open(&program).await?.chains(chains.max(1)).await?;
    Ok(program)
}

/// Starts Attorn on a new SQLite file with an account of the person's at this provider, given to the
/// client for calls. Answers the client's access token for the proxy, too.
///
/// # Errors
/// A sentence with what it said.
pub async fn linked(
    setting: &Setting,
    name: &'static str,
    provider: &Program,
) -> Result<(Program, String)> {
    let folder = setting.folder(name)?;
    let base = format!("http://{}", provider.address);
    let configuration = format!(
        "[[connections]]\nid = \"github\"\nprovider = \"github\"\nclient_id = \"bench\"\n\
         client_secret = \"bench\"\n[connections.overrides]\n\
         authorize = \"{base}/login/oauth/authorize\"\ntoken = \"{base}/login/oauth/access_token\"\n\
         revoke = \"{base}/applications\"\nidentity = \"{base}/user\"\napi_base = \"{base}\"\n"
    );
    let file = folder.join("attorn.toml");
    fs::write(&file, configuration).map_err(|error| format!("{}: {error}", file.display()))?;
    let database = format!("sqlite:{}", folder.join("data/attorn.db").display());
    let program = start(setting, name, &folder, &database, 1).await?;
    let mut browser = Browser::open(&program).await?;
    browser.sign_in().await?;
    browser.link(provider).await?;
    let audience = format!("http://{}/proxy", program.host);
    let granted = browser.allow("openid", &audience).await?;
    let token = browser.redeemed(&granted, "access_token").await?;
    Ok((program, token))
}

/// Starts Attorn with its sandbox providers (`attorn demo`), on SQLite, with an account at Slack
/// linked and given to the example agent for release.
///
/// # Errors
/// A sentence with what it said.
pub async fn demo(setting: &Setting, name: &'static str) -> Result<Program> {
    demo_as(setting, name, Command::new(&setting.attorn)).await
}

/// As [`demo`], under `strace`, which notes in `trace` every call that waits for the disk.
///
/// # Errors
/// A sentence with what it said.
pub async fn demo_traced(setting: &Setting, name: &'static str, trace: &Path) -> Result<Program> {
    let mut strace = Command::new("strace");
    strace
        // The tracer is not the parent, so that the process is the server's.
        .args(["-D", "-f", "-qq", "-e", "trace=fsync,fdatasync", "-o"])
        .arg(trace)
        .arg(&setting.attorn);
    demo_as(setting, name, strace).await
}

async fn demo_as(setting: &Setting, name: &'static str, mut demo: Command) -> Result<Program> {
    let folder = setting.folder(name)?;
    let (log, env_file) = (folder.join("log"), folder.join("env"));
    let file = fs::File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
    demo.current_dir(&folder)
        .args(["demo", "--port", "0", "--data", "demo", "--link", "slack"])
        .args(["--env-file", "env"])
        .env(PRIVATE_MEMORY, setting.profiles.is_none().to_string())
        .env("ATTORN_LIMITS__CLIENT_PER_SECOND", "0");
    let child = program::start(&demo, file)?;
    let mut program = Program::new(name, child, SocketAddr::from(([127, 0, 0, 1], 0)));
    let said = loop {
        // Written in one go, when everything answers.
        if let Ok(said) = fs::read_to_string(&env_file) {
            break said;
        }
        program.check().map_err(|error| {
            let log = fs::read_to_string(&log).unwrap_or_default();
            format!("{error}\n{}", log.trim_end())
        })?;
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let value = |name: &str| {
        said.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
            .map(|value| value.trim_matches('\'').to_owned())
            .ok_or_else(|| format!("`attorn demo` did not say {name}"))
    };
    let url = Url::parse(&value("ATTORN_URL")?).map_err(|error| error.to_string())?;
    let port = url.port().ok_or("the demo has no port")?;
    program.address = SocketAddr::from(([127, 0, 0, 1], port));
    program.host = format!("localhost:{port}");
    program.client = Credentials {
        id: value("ATTORN_CLIENT_ID")?,
        secret: value("ATTORN_CLIENT_SECRET")?,
        person: value("ATTORN_USER_EMAIL")?,
    };
    program.refresh_tokens = vec![value("ATTORN_REFRESH_TOKEN")?];
    Ok(program)
}

/// Runs a command of Attorn's to its end.
fn said(command: &mut Command, input: &str) -> Result<String> {
    use std::io::Write as _;
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{}: {error}", command.get_program().to_string_lossy()))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin
            .write_all(input.as_bytes())
            .map_err(|error| error.to_string())?;
    }
    let output = child
        .wait_with_output()
        .map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let words: Vec<_> = command
        .get_args()
        .map(|word| word.to_string_lossy())
        .collect();
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("`attorn {}`: {}", words.join(" "), said.trim_end()))
}

async fn ready(program: &mut Program) -> Result<()> {
    for _ in 0..600 {
        program.check()?;
        if let Ok(mut connection) = Connection::open(program.address, &program.host).await
            && let Ok(answer) = connection
                .send(Method::GET, "/readyz", &[], String::new())
                .await
            && answer.status == StatusCode::OK
        {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Err(format!("{} does not get ready", program.name))
}

/// The person's browser, as far as the code flow needs one.
pub struct Browser<'a> {
    program: &'a Program,
    connection: Connection,
    cookies: Vec<String>,
}

impl<'a> Browser<'a> {
    /// A browser that nobody has signed in with yet.
    ///
    /// # Errors
    /// When it cannot connect.
    pub async fn open(program: &'a Program) -> Result<Self> {
        let connection = Connection::open(program.address, &program.host).await?;
        Ok(Self {
            program,
            connection,
            cookies: Vec::new(),
        })
    }

    /// Signs the person in.
    ///
    /// # Errors
    /// A sentence with what was answered.
    pub async fn sign_in(&mut self) -> Result<()> {
        let who = form([("email", EMAIL), ("password", PASSWORD)]);
        let answer = self.post("/sign-in", who).await?;
        if answer.status == StatusCode::SEE_OTHER {
            Ok(())
        } else {
            Err(format!("signing in was answered {}", answer.sentence()))
        }
    }

    /// Signs in, allows the client once, and lets it have so many refresh tokens, each of a family
    /// of its own. Without `openid`: what is measured are refreshes with one signature each.
    async fn chains(mut self, count: usize) -> Result<Vec<String>> {
        self.sign_in().await?;
        let asked = [
            ("client_id", self.program.client.id.as_str()),
            ("redirect_uri", REDIRECT),
            ("response_type", "code"),
            ("scope", "offline_access"),
            ("resource", RESOURCE),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ];
        let allowed = form(asked.into_iter().chain([("decision", "allow")]));
        let mut answer = self.post("/authorize/decision", allowed).await?;
        let mut tokens = Vec::new();
        loop {
            tokens.push(self.redeemed(&answer, "refresh_token").await?);
            if tokens.len() == count {
                return Ok(tokens);
            }
            answer = self.get(&format!("/authorize?{}", form(asked))).await?;
        }
    }

    /// Links an account at this provider, where everybody agrees at once, for calls of the client's.
    async fn link(&mut self, provider: &Program) -> Result<()> {
        let fields = [
            ("client", self.program.client.id.as_str()),
            ("permit", "on"),
            ("mode", "call"),
        ];
        let away = self.post("/accounts/link/github", form(fields)).await?;
        let there =
            lead(&away).ok_or_else(|| format!("linking was answered {}", away.sentence()))?;
        let mut connection = Connection::open(provider.address, &provider.host).await?;
        let path = &there[url::Position::BeforePath..];
        let agreed = connection
            .send(Method::GET, path, &[], String::new())
            .await?;
        let back =
            lead(&agreed).ok_or_else(|| format!("the provider said {}", agreed.sentence()))?;
        let linked = self.get(&back[url::Position::BeforePath..]).await?;
        let to = linked.headers.get(header::LOCATION);
        let is_linked = to.is_some_and(|to| to.as_bytes().starts_with(b"/accounts?linked="));
        is_linked
            .then_some(())
            .ok_or_else(|| format!("the way back was answered {}", linked.sentence()))
    }

    /// Allows the client this scope at this audience.
    async fn allow(&mut self, scope: &str, audience: &str) -> Result<Answer> {
        let asked = form([
            ("client_id", self.program.client.id.as_str()),
            ("redirect_uri", REDIRECT),
            ("response_type", "code"),
            ("scope", scope),
            ("resource", audience),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
            ("decision", "allow"),
        ]);
        self.post("/authorize/decision", asked).await
    }

    /// Trades the code of this answer; that member of what comes.
    async fn redeemed(&mut self, answer: &Answer, member: &str) -> Result<String> {
        let code = lead(answer)
            .and_then(|url| {
                url.query_pairs()
                    .find(|(name, _)| name == "code")
                    .map(|(_, code)| code.into_owned())
            })
            .ok_or_else(|| format!("/authorize was answered {}", answer.sentence()))?;
        let body = self.program.form([
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("redirect_uri", REDIRECT),
            ("code_verifier", VERIFIER),
        ]);
        let answer = self.connection.post(self.program.token, body).await?;
        answer
            .text(member)
            .ok_or_else(|| format!("a code was answered {}", answer.sentence()))
    }

    /// Asks for a page.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn get(&mut self, path: &str) -> Result<Answer> {
        self.send(Method::GET, path, String::new()).await
    }

    /// Posts a form.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn post(&mut self, path: &str, body: String) -> Result<Answer> {
        self.send(Method::POST, path, body).await
    }

    async fn send(&mut self, method: Method, path: &str, body: String) -> Result<Answer> {
        let headers = [
            (header::COOKIE, self.cookies.join("; ")),
            (header::ORIGIN, format!("http://{}", self.program.host)),
        ];
        let answer = self.connection.send(method, path, &headers, body).await?;
        for cookie in answer.headers.get_all(header::SET_COOKIE) {
            let text = cookie.to_str().unwrap_or_default();
            let pair = text.split(';').next().unwrap_or_default();
            let name = pair.split('=').next().unwrap_or_default();
            self.cookies
                .retain(|kept| kept.split('=').next() != Some(name));
            self.cookies.push(pair.to_owned());
        }
        Ok(answer)
    }
}

/// Where an answer leads.
fn lead(answer: &Answer) -> Option<Url> {
    let location = answer.headers.get(header::LOCATION)?;
    Url::parse(location.to_str().ok()?).ok()
}
