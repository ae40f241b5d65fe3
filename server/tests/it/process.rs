//! The real program as a process of its own, its providers in this one: it can
//! be killed at any moment and started again on the same data folder.
//!
//! Always on SQLite, where a data folder is all there is.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use axum::http::header;
use domain::testing::{CHALLENGE, PASSWORD, VERIFIER};
use domain::vault::Overrides;
use sandbox::{Config, Provider, Sandbox};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use url::Url;

use crate::house::{Answer, FORM, GOOGLE, SLACK, basic, form, outside, path_of, read};

pub const EMAIL: &str = "ada@example.com";
pub const CALLBACK: &str = "https://agent.test/callback";

/// The program with these arguments and nothing of this environment's settings.
pub fn attorn(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_attorn"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ATTORN_")) {
        command.env_remove(name);
    }
    command
        .args(arguments)
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Waits for a line with these words, then reads on so that the pipe never fills.
pub async fn says(out: impl AsyncRead + Unpin + Send + 'static, words: &str) {
    let mut lines = BufReader::new(out).lines();
    let mut heard = String::new();
    loop {
        let Some(line) = lines.next_line().await.unwrap() else {
            panic!("it ended without saying {words:?}:\n{heard}");
        };
        heard = heard + &line + "\n";
        if line.contains(words) {
            break;
        }
    }
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
}

/// A port that was free a moment ago.
pub async fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().port()
}

pub struct Process {
    pub sandbox: Sandbox,
    /// With its final slash.
    pub issuer: String,
    pub cookie: String,
    pub agent: (String, String),
    /// Attorn's refresh token of the agent; it does not rotate.
    pub refresh: String,
    port: u16,
    folder: tempfile::TempDir,
    http: reqwest::Client,
    child: Child,
}

impl Process {
    /// Served, Ada signed in, one agent with her consent, nothing linked.
    pub async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port().await;
        let issuer = format!("http://localhost:{port}/");
        let mut config = Config::system();
        for provider in Provider::ALL {
            let callback = format!("{issuer}link/callback");
            config.clients.push(sandbox::Client::new(
                provider,
                "attorn",
                "attorn-secret",
                [callback],
            ));
        }
        let sandbox = Sandbox::start(config).await.unwrap();
        let place = folder.path();
        std::fs::create_dir(place.join("data")).unwrap();
        let text = configuration(place, port, &issuer, &sandbox.url());
        std::fs::write(place.join("attorn.toml"), text).unwrap();
        let config = place.join("attorn.toml");
        let password = format!("{PASSWORD}\n");
        let create = ["user", "create", EMAIL, "--name", "Ada"];
        run(&config, &create, &password).await;
        let create = [
            "client",
            "create",
            "Release bot",
            "--redirect-uri",
            CALLBACK,
            "--keep-refresh-token",
        ];
        let client = run(&config, &create, "").await;
        let value = |name: &str| {
            let line = client.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap().to_owned()
        };
        let agent = (value("client_id="), value("client_secret="));
        let child = serve(&config).await;
        let mut process = Self {
            sandbox,
            issuer,
            cookie: String::new(),
            agent,
            refresh: String::new(),
            port,
            folder,
            http: outside(),
            child,
        };
        let fields = [("email", EMAIL), ("password", PASSWORD)];
        let signed_in = process.post("/sign-in", &fields).await;
        assert_eq!(signed_in.status, 303, "{}", signed_in.body);
        let cookie = signed_in.header("set-cookie");
        process.cookie = cookie.split(';').next().unwrap().to_owned();
        process.refresh = process.consent().await;
        process
    }

    pub fn config(&self) -> PathBuf {
        self.folder.path().join("attorn.toml")
    }

    pub fn database(&self) -> PathBuf {
        self.folder.path().join("data/attorn.db")
    }

    pub fn key(&self) -> PathBuf {
        self.folder.path().join("attorn.key")
    }

    /// What the program says to a command, beside this server or not.
    pub async fn command(&self, arguments: &[&str]) -> String {
        run(&self.config(), arguments, "").await
    }

    /// As [`Process::command`], for one that is refused; what it complains of.
    pub async fn refused(&self, arguments: &[&str]) -> String {
        let mut command = attorn(arguments);
        command.arg("--config").arg(self.config());
        let output = command.output().await.unwrap();
        assert!(!output.status.success(), "{arguments:?} was carried out");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// Changes the configuration file; the server goes on with what it read.
    pub fn configure(&self, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.config()).unwrap();
        assert!(text.contains(from), "{text}");
        std::fs::write(self.config(), text.replace(from, to)).unwrap();
    }

    /// `kill -9`.
    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// The audit log is sound as it was left, and the program starts on it again.
    pub async fn restart(&mut self) {
        run(&self.config(), &["audit", "verify"], "").await;
        self.child = serve(&self.config()).await;
        // Connections to the dead process are of no use.
        self.http = outside();
        assert_eq!(self.get("/readyz").await.status, 200);
    }

    /// Stops it and starts it again with these events logged, all into the file
    /// it answers.
    pub async fn restart_logged(&mut self, filter: &str) -> PathBuf {
        self.kill().await;
        let log = self.folder.path().join("log");
        let mut command = attorn(&["serve", "--config"]);
        command
            .arg(self.config())
            .env("ATTORN_LOG__FILTER", filter)
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap());
        self.child = command.spawn().unwrap();
        self.http = outside();
        while !std::fs::read_to_string(&log).unwrap().contains("serving") {
            assert!(self.child.try_wait().unwrap().is_none(), "it ended");
            tokio::task::yield_now().await;
        }
        log
    }

    /// Stops it and starts it again under `strace`, which notes every call that
    /// waits for the disk in the file it answers.
    pub async fn restart_traced(&mut self) -> PathBuf {
        self.kill().await;
        let trace = self.folder.path().join("trace");
        let mut command = attorn(&["serve", "--config"]);
        let of_attorn = command.arg(self.config()).as_std();
        let mut traced = Command::new("strace");
        traced
            // The tracer is not the parent, so that the program can be killed as ever.
            .args(["-D", "-f", "-qq", "-e", "trace=fsync,fdatasync", "-o"])
            .arg(&trace)
            .arg(of_attorn.get_program())
            .args(of_attorn.get_args())
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ATTORN_")) {
            traced.env_remove(name);
        }
        self.child = traced.spawn().unwrap();
        says(self.child.stderr.take().unwrap(), "serving").await;
        self.http = outside();
        trace
    }

    pub fn posting(&self, path: &str) -> reqwest::RequestBuilder {
        let address = format!("http://127.0.0.1:{}{path}", self.port);
        self.http.post(address)
    }

    /// A request that is sent on its own: nobody may live to hear the answer.
    pub fn request(&self, path: &str, fields: &[(&str, &str)]) -> reqwest::RequestBuilder {
        let request = self
            .posting(path)
            .header(header::CONTENT_TYPE, FORM)
            .body(form(fields));
        if path.starts_with("/oauth/") || path == "/bc-authorize" {
            request.header(header::AUTHORIZATION, basic(&self.agent.0, &self.agent.1))
        } else {
            request.header(header::COOKIE, &self.cookie)
        }
    }

    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        read(self.request(path, fields).send().await.unwrap()).await
    }

    pub fn getting(&self, path: &str) -> reqwest::RequestBuilder {
        self.http
            .get(format!("http://127.0.0.1:{}{path}", self.port))
            .header(header::COOKIE, &self.cookie)
    }

    pub async fn get(&self, path: &str) -> Answer {
        read(self.getting(path).send().await.unwrap()).await
    }

    async fn consent(&self) -> String {
        let fields = [
            ("response_type", "code"),
            ("client_id", self.agent.0.as_str()),
            ("redirect_uri", CALLBACK),
            ("scope", "openid offline_access"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
            ("decision", "allow"),
        ];
        let allowed = self.post("/authorize/decision", &fields).await;
        let back = Url::parse(allowed.location()).unwrap();
        let code = back.query_pairs().find(|(name, _)| name == "code");
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", &code.unwrap().1),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
        ];
        let tokens = self.post("/oauth/token", &fields).await;
        assert_eq!(tokens.status, 200, "{}", tokens.body);
        tokens.text("refresh_token")
    }

    /// The way back from the provider's consent page, not yet gone.
    pub async fn consented(&self, connection: &str, mode: &str) -> String {
        let fields = [("client", &*self.agent.0), ("permit", "on"), ("mode", mode)];
        let away = self
            .post(&format!("/accounts/link/{connection}"), &fields)
            .await;
        assert_eq!(away.status, 303, "{}", away.body);
        let click = self
            .http
            .post(away.location())
            .header(header::CONTENT_TYPE, FORM)
            .body(form(&[("email", EMAIL)]));
        let back = read(click.send().await.unwrap()).await;
        path_of(back.location())
    }

    pub async fn link(&self, connection: &str, mode: &str) {
        let back = self.consented(connection, mode).await;
        let linked = self.get(&back).await;
        let to = linked.location();
        assert!(to.starts_with("/accounts?linked="), "{to} {}", linked.body);
    }

    pub fn exchanging(&self, connection: &str) -> reqwest::RequestBuilder {
        let fields = [
            (
                "grant_type",
                "urn:ietf:params:oauth:grant-type:token-exchange",
            ),
            ("subject_token", self.refresh.as_str()),
            (
                "subject_token_type",
                "urn:ietf:params:oauth:token-type:refresh_token",
            ),
            ("connection", connection),
        ];
        self.request("/oauth/token", &fields)
    }

    pub async fn exchange(&self, connection: &str) -> Answer {
        read(self.exchanging(connection).send().await.unwrap()).await
    }
}

/// Runs a command beside no server; what it says.
async fn run(config: &Path, arguments: &[&str], input: &str) -> String {
    let mut command = attorn(arguments);
    command.arg("--config").arg(config).stdin(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A command that does not read may have ended before.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let output = child.wait_with_output().await.unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {said}{error}");
    said
}

async fn serve(config: &Path) -> Child {
    let mut command = attorn(&["serve", "--config"]);
    command.arg(config).stdout(Stdio::null());
    let mut child = command.spawn().unwrap();
    says(child.stderr.take().unwrap(), "serving").await;
    child
}

fn configuration(place: &Path, port: u16, issuer: &str, sandbox: &str) -> String {
    let mut text = format!(
        "[server]\nlisten = \"127.0.0.1:{port}\"\npublic_url = \"{issuer}\"\n\
         [database]\nurl = \"sqlite:{place}/data/attorn.db\"\n\
         [vault]\nkey_file = \"{place}/attorn.key\"\n",
        place = place.display(),
    );
    for (provider, id) in [
        (Provider::Google, GOOGLE),
        (Provider::Slack, SLACK),
        (Provider::Salesforce, "salesforce"),
    ] {
        let base = format!("{sandbox}/{provider}");
        let moved = Overrides::below(provider.as_str(), &base).unwrap();
        text += &format!(
            "[[connections]]\nid = \"{id}\"\nprovider = \"{provider}\"\n\
             client_id = \"attorn\"\nclient_secret = \"attorn-secret\"\n\
             [connections.overrides]\n"
        );
        for (name, value) in [
            ("authorize", moved.authorize),
            ("token", moved.token),
            ("revoke", moved.revoke),
            ("identity", moved.identity),
            ("api_base", moved.api_base),
        ] {
            if let Some(value) = value {
                text += &format!("{name} = \"{value}\"\n");
            }
        }
    }
    text
}
