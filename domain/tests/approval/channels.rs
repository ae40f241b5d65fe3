//! Other ways in which a person is told: mail, and a webhook of their own.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::approval::channels::{self, ChannelError, Delivery, MailServer, deliver};
use domain::approval::policies::PasskeyDemand;
use domain::approval::{self, Decision};
use domain::identity::passkeys::Proof;
use domain::secret::Secret;
use domain::testing::Bench;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::approvers::of_four;
use crate::story::{Story, story, story_on};

#[path = "../../examples/webhook_app.rs"]
#[allow(dead_code, reason = "its program is not run here")]
mod app;

/// An app of the person's: what it was sent, and what it answers next (204 without).
#[derive(Clone, Default)]
struct App {
    sent: Arc<Mutex<Vec<String>>>,
    answers: Arc<Mutex<VecDeque<&'static str>>>,
    url: String,
}

impl App {
    async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let app = Self {
            url: format!("http://{}/hook", listener.local_addr().unwrap()),
            ..Self::default()
        };
        let serving = app.clone();
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                serving.serve(socket).await;
            }
        });
        app
    }

    async fn serve(&self, mut socket: TcpStream) {
        let mut read = String::new();
        while !is_whole(&read) {
            let mut chunk = [0; 8192];
            let count = socket.read(&mut chunk).await.unwrap();
            assert!(count > 0, "the request ends early");
            read.push_str(std::str::from_utf8(&chunk[..count]).unwrap());
        }
        self.sent.lock().unwrap().push(read);
        let status = self.answers.lock().unwrap().pop_front();
        let status = status.unwrap_or("204 No Content");
        let answer = format!("HTTP/1.1 {status}\r\nconnection: close\r\n\r\n");
        socket.write_all(answer.as_bytes()).await.unwrap();
        socket.shutdown().await.unwrap();
    }

    fn will_answer(&self, statuses: &[&'static str]) {
        self.answers.lock().unwrap().extend(statuses);
    }

    fn taken(&self) -> Vec<String> {
        std::mem::take(&mut self.sent.lock().unwrap())
    }
}

fn is_whole(request: &str) -> bool {
    request.split_once("\r\n\r\n").is_some_and(|(head, body)| {
        let length = header(head, "content-length").unwrap_or("0");
        body.len() >= length.parse().unwrap()
    })
}

fn header<'a>(request: &'a str, name: &str) -> Option<&'a str> {
    let head = request.split("\r\n\r\n").next().unwrap();
    head.lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(given, _)| given.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

/// What an app does with a delivery: the example's own code checks it.
fn verified(request: &str, secret: &Secret<String>) -> Value {
    let (_, body) = request.split_once("\r\n\r\n").unwrap();
    let text = |name: &str| header(request, name).unwrap().to_owned();
    let delivery = app::Delivery {
        id: text("webhook-id"),
        timestamp: text("webhook-timestamp"),
        signature: text("webhook-signature"),
    };
    let now: i64 = delivery.timestamp.parse().unwrap();
    let told = app::verified(&delivery, body, secret.expose(), now + 300).unwrap();
    for (body, secret, now) in [
        (
            &*body.replace("type", "tipe"),
            secret.expose().as_str(),
            now,
        ),
        (body, "whsec_AAAA", now),
        (body, secret.expose(), now + 301),
        (body, secret.expose(), now - 301),
    ] {
        assert!(app::verified(&delivery, body, secret, now).is_err());
    }
    assert!(!app::words(&told).is_empty());
    told
}

/// A mail server: what it took, and what it says to the next recipients.
#[derive(Clone, Default)]
struct Post {
    taken: Arc<Mutex<Vec<String>>>,
    answers: Arc<Mutex<VecDeque<&'static str>>>,
}

impl Post {
    async fn open() -> (Self, MailServer) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("smtp://{}", listener.local_addr().unwrap());
        let server = MailServer::new("Attorn <attorn@attorn.test>", Secret::new(url)).unwrap();
        let post = Self::default();
        let serving = post.clone();
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                serving.serve(socket).await;
            }
        });
        (post, server)
    }

    async fn serve(&self, socket: TcpStream) {
        let (read, mut write) = socket.into_split();
        let mut lines = BufReader::new(read).lines();
        write.write_all(b"220 here\r\n").await.unwrap();
        while let Ok(Some(line)) = lines.next_line().await {
            let verb = line.get(..4).unwrap_or_default().to_uppercase();
            let answer = match verb.as_str() {
                "EHLO" => "250-here\r\n250 8BITMIME",
                "RCPT" => self.answers.lock().unwrap().pop_front().unwrap_or("250 ok"),
                "DATA" => {
                    write.write_all(b"354 go on\r\n").await.unwrap();
                    let mut mail = String::new();
                    while let Ok(Some(line)) = lines.next_line().await {
                        if line == "." {
                            break;
                        }
                        mail.push_str(&line);
                        mail.push('\n');
                    }
                    self.taken.lock().unwrap().push(mail);
                    "250 taken"
                }
                "QUIT" => "221 bye",
                _ => "250 ok",
            };
            let answer = format!("{answer}\r\n");
            if write.write_all(answer.as_bytes()).await.is_err() || verb == "QUIT" {
                return;
            }
        }
    }

    fn taken(&self) -> Vec<String> {
        std::mem::take(&mut self.taken.lock().unwrap())
    }
}

async fn run(story: &Story) -> usize {
    deliver::run_due(&story.bench).await.unwrap()
}

async fn log(story: &Story) -> Vec<Delivery> {
    channels::deliveries(&story.bench, &story.person.id)
        .await
        .unwrap()
}

async fn hook(story: &Story, app: &App) -> Secret<String> {
    let added = channels::add_webhook(&story.bench, &story.person.id, &app.url).await;
    added.unwrap().1
}

#[tokio::test]
async fn an_app_hears_of_a_request_and_of_its_end_in_words_that_only_we_can_sign() {
    let story = story().await;
    let app = App::open().await;
    let secret = hook(&story, &app).await;
    let asked = story.asked().await;
    assert_eq!(run(&story).await, 1);
    let sent = app.taken();
    assert_eq!(sent.len(), 1);
    assert!(sent[0].starts_with("POST /hook "), "{}", sent[0]);
    let told = verified(&sent[0], &secret);
    assert_eq!(told["type"], "approval.asked");
    let data = &told["data"];
    assert_eq!(data["approval"], asked.approval_id.as_str());
    assert_eq!(data["agent"], "Release bot");
    assert_eq!(data["risk"], "high");
    let url = format!("https://attorn.test/approve/{}", asked.approval_id);
    assert_eq!(data["url"], url);
    assert!(!sent[0].contains(asked.auth_req_id.expose()));
    // What was asked, but nothing of its content: the page shows that, signed in.
    assert!(!sent[0].contains("billing"));
    story
        .decide(&asked.approval_id, Decision::Deny)
        .await
        .unwrap();
    assert_eq!(run(&story).await, 1);
    let ended = verified(&app.taken()[0], &secret);
    assert_eq!(
        (&ended["type"], &ended["data"]["state"]),
        (&"approval.ended".into(), &"denied".into())
    );
}

#[tokio::test]
async fn a_mail_says_who_asks_and_leads_to_a_page_that_needs_a_sign_in() {
    let (post, server) = Post::open().await;
    let story = story_on(Bench::with_mail(server).await).await;
    channels::add_mail(&story.bench, &story.person)
        .await
        .unwrap();
    let asked = story.asked().await;
    assert_eq!(run(&story).await, 1);
    let mail = post.taken().remove(0);
    for line in [
        "From: Attorn <attorn@attorn.test>",
        "To: anna@example.com",
        "Subject: Release bot asks for your approval",
    ] {
        assert!(mail.lines().any(|sent| sent == line), "{line}: {mail}");
    }
    let whole = mail.replace("=\n", "").replace("=3D", "=");
    let link = format!("https://attorn.test/approve/{}", asked.approval_id);
    assert!(whole.contains("text/plain") && whole.contains("text/html"));
    assert_eq!(whole.matches(&link).count(), 2, "{whole}");
    assert!(!whole.contains(asked.auth_req_id.expose()) && !whole.contains("billing"));
    // Its end sends no second mail.
    story
        .decide(&asked.approval_id, Decision::Approve)
        .await
        .unwrap();
    assert_eq!(run(&story).await, 0);
    assert!(post.taken().is_empty());
}

#[tokio::test]
async fn the_next_way_is_taken_when_one_gives_up_and_spared_when_one_arrives() {
    let (post, server) = Post::open().await;
    let story = story_on(Bench::with_mail(server).await).await;
    let app = App::open().await;
    hook(&story, &app).await;
    let mail = channels::add_mail(&story.bench, &story.person)
        .await
        .unwrap();
    // The app is there: no mail.
    story.asked().await;
    assert_eq!(run(&story).await, 1);
    assert_eq!(run(&story).await, 0);
    assert!(post.taken().is_empty());
    // It says that it never will: the mail goes out at once.
    app.will_answer(&["410 Gone"]);
    story.asked().await;
    assert_eq!(run(&story).await, 1);
    assert_eq!(run(&story).await, 1);
    assert_eq!(post.taken().len(), 1);
    // The other way about: the mail first, whose server refuses the address.
    channels::raise(&story.bench, &story.person.id, &mail.id)
        .await
        .unwrap();
    app.taken();
    post.answers.lock().unwrap().push_back("550 nobody here");
    story.asked().await;
    assert_eq!(run(&story).await, 1);
    assert_eq!(run(&story).await, 1);
    assert_eq!((post.taken().len(), app.taken().len()), (0, 1));
    let log = log(&story).await;
    let states: Vec<_> = log.iter().map(|one| one.state.as_str()).collect();
    for (state, count) in [("done", 3), ("given_up", 2), ("spared", 1)] {
        let found = states.iter().filter(|one| **one == state).count();
        assert_eq!(found, count, "{state}: {states:?}");
    }
    for why in ["answered 410", "550"] {
        let says = |one: &Delivery| one.detail.as_ref().is_some_and(|text| text.contains(why));
        assert!(log.iter().any(says), "{why}: {log:?}");
    }
}

#[tokio::test]
async fn an_app_that_is_away_is_tried_again_and_nobody_is_told_of_what_is_over() {
    let story = story().await;
    let app = App::open().await;
    let secret = hook(&story, &app).await;
    app.will_answer(&["503 Busy", "429 Slow\r\nretry-after: 60"]);
    let asked = story.asked().await;
    assert_eq!(run(&story).await, 0);
    assert_eq!(run(&story).await, 0, "not at once");
    story.bench.advance(Duration::from_secs(5));
    assert_eq!(run(&story).await, 0);
    story.bench.advance(Duration::from_secs(59));
    assert_eq!(run(&story).await, 0);
    story.bench.advance(Duration::from_secs(1));
    assert_eq!(run(&story).await, 1);
    let sent = app.taken();
    assert_eq!(sent.len(), 3);
    let ids: Vec<_> = sent.iter().map(|one| header(one, "webhook-id")).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "one delivery, one id");
    verified(&sent[2], &secret);
    story
        .decide(&asked.approval_id, Decision::Approve)
        .await
        .unwrap();
    run(&story).await;
    app.taken();
    // Decided before it was sent.
    let asked = story.asked().await;
    story
        .decide(&asked.approval_id, Decision::Deny)
        .await
        .unwrap();
    run(&story).await;
    assert!(app.taken().is_empty());
}

#[tokio::test]
async fn a_recovered_device_and_a_test_reach_every_way() {
    let (post, server) = Post::open().await;
    let story = story_on(Bench::with_mail(server).await).await;
    let app = App::open().await;
    let secret = hook(&story, &app).await;
    let mail = channels::add_mail(&story.bench, &story.person)
        .await
        .unwrap();
    let recent = Proof::SignIn {
        at: story.bench.now(),
    };
    let (_, first) = story.enrol_by(&story.person, recent).await;
    let code = first.recovery_codes.unwrap().remove(0);
    story
        .enrol_by(&story.person, Proof::RecoveryCode(code))
        .await;
    assert_eq!(run(&story).await, 2);
    let told = verified(&app.taken()[0], &secret);
    assert_eq!(told["type"], "device.recovered");
    assert!(post.taken()[0].contains("Subject: A recovery code was used"));
    channels::test(&story.bench, &story.person.id, &mail.id)
        .await
        .unwrap();
    assert_eq!(run(&story).await, 1);
    assert!(post.taken()[0].contains("Subject: This is a test"));
}

#[tokio::test]
async fn a_way_belongs_to_its_person_and_a_row_that_leads_elsewhere_is_refused() {
    let story = story().await;
    let app = App::open().await;
    let (added, _) = channels::add_webhook(&story.bench, &story.person.id, &app.url)
        .await
        .unwrap();
    let (mine, id) = (&story.person.id, &added.id);
    for refused in [
        channels::remove(&story.bench, &story.stranger.id, id).await,
        channels::raise(&story.bench, &story.stranger.id, id).await,
        channels::test(&story.bench, &story.stranger.id, id).await,
    ] {
        assert!(matches!(refused, Err(ChannelError::NotFound)));
    }
    let twice = channels::add_webhook(&story.bench, mine, &app.url).await;
    assert!(matches!(twice, Err(ChannelError::Known)));
    for bad in [
        "http://example.com/x",
        "ftp://example.com",
        "https://user:pass@example.com/",
        "javascript:x",
        "",
    ] {
        let refused = channels::add_webhook(&story.bench, mine, bad).await;
        assert!(matches!(refused, Err(ChannelError::Address)), "{bad}");
    }
    let none = channels::add_mail(&story.bench, &story.person).await;
    assert!(matches!(none, Err(ChannelError::NoMail)));
    let other = App::open().await;
    let (to, elsewhere) = (id.clone(), other.url.clone());
    let moved: Result<u64, domain::storage::Error> = story
        .bench
        .store
        .write(move |tx| {
            let args = vec![(&to).into(), (&elsewhere).into()];
            Box::pin(async move {
                tx.execute("update notice_channels set target = $2 where id = $1", args)
                    .await
            })
        })
        .await;
    assert_eq!(moved.unwrap(), 1);
    story.asked().await;
    assert_eq!(run(&story).await, 0);
    assert!(other.taken().is_empty() && app.taken().is_empty());
}

#[tokio::test]
async fn what_was_removed_is_told_no_more_and_is_forgotten_later() {
    let (post, server) = Post::open().await;
    let story = story_on(Bench::with_mail(server).await).await;
    let app = App::open().await;
    let (added, _) = channels::add_webhook(&story.bench, &story.person.id, &app.url)
        .await
        .unwrap();
    channels::add_mail(&story.bench, &story.person)
        .await
        .unwrap();
    story.asked().await;
    channels::remove(&story.bench, &story.person.id, &added.id)
        .await
        .unwrap();
    // What it had to bring goes by the other.
    assert_eq!(run(&story).await, 1);
    assert_eq!((app.taken().len(), post.taken().len()), (0, 1));
    let left = channels::list(&story.bench, &story.person.id)
        .await
        .unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(deliver::sweep(&story.bench).await.unwrap(), 0);
    story.bench.advance(Duration::from_secs(31 * 24 * 3600));
    approval::expire_due(&story.bench).await.unwrap();
    assert!(deliver::sweep(&story.bench).await.unwrap() > 0);
    assert!(log(&story).await.is_empty());
}

#[tokio::test]
async fn approvers_are_told_each_in_an_order_of_their_own() {
    let (story, four) = of_four(1, PasskeyDemand::None).await;
    let apps = [App::open().await, App::open().await, App::open().await];
    for (person, app) in [
        (&story.person, &apps[0]),
        (&four[0], &apps[1]),
        (&four[0], &apps[2]),
    ] {
        channels::add_webhook(&story.bench, &person.id, &app.url)
            .await
            .unwrap();
    }
    apps[1].will_answer(&["410 Gone"]);
    story.asked().await;
    // That the person was told does not spare the approver's second way.
    while run(&story).await > 0 {}
    for app in &apps {
        let sent = app.taken();
        assert_eq!(sent.len(), 1, "{sent:?}");
        assert!(sent[0].contains("approval.asked"));
    }
}
