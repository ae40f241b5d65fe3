//! What a person's browsers are told of their requests.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::approval::Decision;
use domain::approval::policies::PasskeyDemand;
use domain::approval::push::Topic;
use domain::approval::push::notices;
use domain::approval::push::subscriptions::{self, NewSubscription};
use domain::identity::Person;
use domain::identity::passkeys::Proof;
use domain::secret::Secret;
use evidence::digest::from_base64url;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::approvers::of_four;
use crate::story::{Story, ask_of, story};

/// A push service: what it was sent, and what it answers next (201 without).
#[derive(Clone, Default)]
pub struct Service {
    sent: Arc<Mutex<Vec<String>>>,
    answers: Arc<Mutex<VecDeque<&'static str>>>,
    pub base: String,
}

impl Service {
    pub async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let service = Self {
            base: format!("http://{}", listener.local_addr().unwrap()),
            ..Self::default()
        };
        let serving = service.clone();
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                serving.serve(socket).await;
            }
        });
        service
    }

    async fn serve(&self, mut socket: TcpStream) {
        let mut read = Vec::new();
        let head = loop {
            let mut chunk = [0; 8192];
            let count = socket.read(&mut chunk).await.unwrap();
            assert!(count > 0, "the request ends early");
            read.extend_from_slice(&chunk[..count]);
            let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") else {
                continue;
            };
            let head = String::from_utf8_lossy(&read[..end]).to_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |length| length.parse().unwrap());
            if read.len() - end - 4 >= length {
                break head;
            }
        };
        self.sent.lock().unwrap().push(head);
        let status = self
            .answers
            .lock()
            .unwrap()
            .pop_front()
            .unwrap_or("201 Created");
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        socket.write_all(answer.as_bytes()).await.unwrap();
        socket.shutdown().await.unwrap();
    }

    fn will_answer(&self, statuses: &[&'static str]) {
        self.answers.lock().unwrap().extend(statuses);
    }

    /// What came since the last look.
    fn taken(&self) -> Vec<String> {
        std::mem::take(&mut self.sent.lock().unwrap())
    }

    pub async fn subscribe(&self, story: &Story, person: &Person, path: &str) {
        // The browser of RFC 8291, appendix A.
        let keys = (
            "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
            "BTBZMqHH6r4Tts7J_aSIgg",
        );
        let new = NewSubscription {
            endpoint: format!("{}{path}", self.base).parse().unwrap(),
            p256dh: from_base64url(keys.0).unwrap(),
            auth: Secret::new(from_base64url(keys.1).unwrap()),
            name: "Phone".to_owned(),
        };
        subscriptions::subscribe(&story.bench, &person.id, new)
            .await
            .unwrap();
    }
}

async fn run(story: &Story) -> usize {
    notices::run_due(&story.bench).await.unwrap()
}

fn has(head: &str, line: &str) -> bool {
    head.lines().any(|sent| sent == line.to_lowercase())
}

#[tokio::test]
async fn a_request_goes_to_every_browser_of_its_person_and_its_end_takes_its_place() {
    let story = story().await;
    let service = Service::open().await;
    service.subscribe(&story, &story.person, "/phone").await;
    service.subscribe(&story, &story.person, "/laptop").await;
    service
        .subscribe(&story, &story.stranger, "/stranger")
        .await;
    let asked = story.asked().await;
    assert_eq!(run(&story).await, 2);
    assert_eq!(run(&story).await, 0);
    let sent = service.taken();
    assert_eq!(sent.len(), 2);
    let topic = format!("topic: {}", Topic::of(&asked.approval_id).as_str());
    for head in &sent {
        assert!(!head.starts_with("post /stranger"), "{head}");
        for line in ["ttl: 300", "urgency: high", &topic] {
            assert!(has(head, line), "{line} in {head}");
        }
    }
    story
        .decide(&asked.approval_id, Decision::Deny)
        .await
        .unwrap();
    assert_eq!(run(&story).await, 2);
    let sent = service.taken();
    assert_eq!(sent.len(), 2);
    assert!(sent.iter().all(|head| has(head, &topic)), "{sent:?}");
}

#[tokio::test]
async fn of_what_was_decided_before_it_was_sent_nothing_is_sent() {
    let story = story().await;
    let service = Service::open().await;
    service.subscribe(&story, &story.person, "/phone").await;
    let asked = story.asked().await;
    story
        .decide(&asked.approval_id, Decision::Deny)
        .await
        .unwrap();
    assert_eq!(run(&story).await, 0);
    let mut short = ask_of(&story.person);
    short.requested_expiry_s = Some(5);
    domain::approval::ask(&story.bench, &story.client, short)
        .await
        .unwrap();
    story.bench.advance(Duration::from_secs(6));
    run(&story).await;
    assert!(service.taken().is_empty());
}

#[tokio::test]
async fn a_push_service_that_fails_is_tried_again_and_a_dead_browser_is_told_no_more() {
    let story = story().await;
    let service = Service::open().await;
    service.subscribe(&story, &story.person, "/phone").await;
    service.will_answer(&["503 Unavailable", "500 Error", "201 Created", "410 Gone"]);
    story.asked().await;
    assert_eq!(run(&story).await, 0);
    assert_eq!(run(&story).await, 0);
    story.bench.advance(Duration::from_secs(5));
    assert_eq!(run(&story).await, 0);
    story.bench.advance(Duration::from_secs(10));
    assert_eq!(run(&story).await, 1);
    assert_eq!(service.taken().len(), 3);
    // The next one finds that the browser is gone; the one after is not even tried.
    story.asked().await;
    assert_eq!(run(&story).await, 1);
    let left = subscriptions::list(&story.bench, &story.person.id)
        .await
        .unwrap();
    assert!(left.is_empty());
    story.asked().await;
    assert_eq!(run(&story).await, 0);
    assert_eq!(service.taken().len(), 1);
    // In the end nothing is left of either.
    story.bench.advance(Duration::from_secs(40 * 24 * 3600));
    assert!(notices::sweep(&story.bench).await.unwrap() >= 2);
    notices::sweep(&story.bench).await.unwrap();
    assert_eq!(notices::sweep(&story.bench).await.unwrap(), 0);
}

#[tokio::test]
async fn a_device_from_a_recovery_code_is_told_to_every_browser_of_the_person() {
    let story = story().await;
    let service = Service::open().await;
    service.subscribe(&story, &story.person, "/phone").await;
    service
        .subscribe(&story, &story.stranger, "/stranger")
        .await;
    let recent = Proof::SignIn {
        at: story.bench.now(),
    };
    let (_, first) = story.enrol_by(&story.person, recent).await;
    assert_eq!(run(&story).await, 0);
    let code = first.recovery_codes.unwrap().remove(0);
    let (_, second) = story
        .enrol_by(&story.person, Proof::RecoveryCode(code))
        .await;
    assert!(second.passkey.hold_until.is_some());
    assert_eq!(run(&story).await, 1);
    let sent = service.taken();
    assert_eq!(sent.len(), 1);
    assert!(sent[0].starts_with("post /phone"), "{sent:?}");
    assert!(has(&sent[0], "ttl: 86400") && has(&sent[0], "urgency: high"));
}

#[tokio::test]
async fn the_browsers_of_approvers_are_told_as_well() {
    let (story, four) = of_four(1, PasskeyDemand::None).await;
    let service = Service::open().await;
    service.subscribe(&story, &four[1], "/approver").await;
    service
        .subscribe(&story, &story.stranger, "/stranger")
        .await;
    story.asked().await;
    assert_eq!(run(&story).await, 1);
    let sent = service.taken();
    assert_eq!(sent.len(), 1);
    assert!(sent[0].starts_with("post /approver "), "{}", sent[0]);
}
