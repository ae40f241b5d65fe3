//! Mail to the person's own address (RFC 5321 over TLS, by `lettre`): a text and
//! an HTML part that say the same, with a link that needs a sign-in.

use std::time::{Duration, UNIX_EPOCH};

use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::AsyncSmtpTransport;
use lettre::{AsyncTransport as _, Message, Tokio1Executor};
use time::OffsetDateTime;
use time::macros::format_description;
use url::Url;

use super::deliver::Says;
use crate::Engine;
use crate::approval::read::Approval;
use crate::due::End;
use crate::secret::Secret;

/// How long a mail server may take for each of its answers.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The server that takes our mail, from the configuration.
#[derive(Clone)]
pub struct MailServer {
    from: Mailbox,
    url: Secret<String>,
}

/// Why a mail server cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadServer {
    /// Not an address of mail.
    #[error("`from` is no address of mail")]
    From,
    /// Not an address of a server.
    #[error("`url` must be smtps://USER:PASSWORD@HOST or smtp://…?tls=required")]
    Url,
    /// A password would travel in clear, or what the mail says.
    #[error(
        "`url` must use TLS: smtps://…, or smtp://…?tls=required; without it only on this machine"
    )]
    Clear,
}

impl MailServer {
    /// A server by its address: `smtps://` (TLS from the start, RFC 8314 §3.3)
    /// or `smtp://…?tls=required` (STARTTLS, RFC 3207). Without TLS only a
    /// server on this machine.
    ///
    /// # Errors
    /// See [`BadServer`].
    pub fn new(from: &str, url: Secret<String>) -> Result<Self, BadServer> {
        let from = from.parse().map_err(|_| BadServer::From)?;
        let parsed = Url::parse(url.expose()).map_err(|_| BadServer::Url)?;
        let tls = parsed
            .query_pairs()
            .find(|(name, _)| name == "tls")
            .map(|(_, value)| value.into_owned());
        let local = matches!(parsed.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
        match (parsed.scheme(), tls.as_deref()) {
            ("smtps", None) | ("smtp", Some("required")) => {}
            ("smtp", None) if local => {}
            ("smtp", _) => return Err(BadServer::Clear),
            _ => return Err(BadServer::Url),
        }
        let server = Self { from, url };
        server.transport().map_err(|_| BadServer::Url)?;
        Ok(server)
    }

    fn transport(
        &self,
    ) -> Result<AsyncSmtpTransport<Tokio1Executor>, lettre::transport::smtp::Error> {
        let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(self.url.expose())?;
        Ok(builder.timeout(Some(TIMEOUT)).build())
    }
}

/// What a mail says, before it has a form.
struct Words {
    subject: String,
    lines: Vec<String>,
    link: String,
    button: &'static str,
}

fn words(engine: &Engine, says: &Says<'_>) -> Words {
    let devices = engine.settings.url("devices");
    let request = |approval: &Approval| engine.settings.url(&format!("approve/{}", approval.id));
    match says {
        Says::Asked(approval) => Words {
            subject: format!("{} asks for your approval", cut(&approval.shown.agent)),
            lines: vec![
                cut(&approval.shown.title),
                format!(
                    "{} asks. Nothing happens until you decide; the request expires {}.",
                    cut(&approval.shown.agent),
                    moment(approval.expires_at)
                ),
                "Open it to read what exactly will happen. You sign in there; this mail decides nothing."
                    .to_owned(),
            ],
            link: request(approval),
            button: "Look at the request",
        },
        Says::Ended(approval) => Words {
            subject: "A request has ended".to_owned(),
            lines: vec![cut(&approval.shown.title)],
            link: request(approval),
            button: "Look at the request",
        },
        Says::Device => Words {
            subject: "A recovery code was used".to_owned(),
            lines: vec![
                "It set up a device, which counts in a day.".to_owned(),
                "If that was not you, remove the device now and change your password.".to_owned(),
            ],
            link: devices,
            button: "Look at your devices",
        },
        Says::Test => Words {
            subject: "This is a test".to_owned(),
            lines: vec!["Attorn can reach you by mail.".to_owned()],
            link: devices,
            button: "Back to your devices",
        },
    }
}

/// Of names and headlines: enough to know it by, and nothing that ends a line.
fn cut(text: &str) -> String {
    let plain = |character: char| {
        if character.is_control() {
            ' '
        } else {
            character
        }
    };
    text.chars().map(plain).take(200).collect()
}

fn moment(at: i64) -> String {
    let form = format_description!(
        "on [weekday], [day padding:none] [month repr:long] [year] at [hour]:[minute] UTC"
    );
    OffsetDateTime::from_unix_timestamp(at.div_euclid(1000))
        .ok()
        .and_then(|at| at.format(form).ok())
        .unwrap_or_default()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

fn plain(words: &Words) -> String {
    format!("{}\n\n{}\n", words.lines.join("\n\n"), words.link)
}

fn html(words: &Words) -> String {
    let lines: String = words
        .lines
        .iter()
        .map(|line| format!("<p dir=\"auto\">{}</p>", escaped(line)))
        .collect();
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"color-scheme\" content=\"light dark\">\
         <title>{title}</title></head><body style=\"font: 16px/1.5 system-ui, sans-serif; max-width: 36em; margin: 2em auto; padding: 0 1em\">\
         {lines}<p><a href=\"{link}\">{button}</a></p></body></html>",
        title = escaped(&words.subject),
        link = escaped(&words.link),
        button = words.button,
    )
}

fn message(
    engine: &Engine,
    server: &MailServer,
    id: &str,
    to: &str,
    says: &Says<'_>,
) -> Option<Message> {
    let words = words(engine, says);
    let host = Url::parse(&engine.settings.issuer).ok()?;
    let now = Duration::from_millis(u64::try_from(engine.now()).ok()?);
    Message::builder()
        .from(server.from.clone())
        .to(to.parse().ok()?)
        .subject(words.subject.clone())
        .date(UNIX_EPOCH + now)
        // The same at every attempt: who gets it twice sees it once.
        .message_id(Some(format!("<{id}@{}>", host.host_str()?)))
        .multipart(MultiPart::alternative_plain_html(
            plain(&words),
            html(&words),
        ))
        .ok()
}

/// Hands one mail to the server.
pub(super) async fn deliver(engine: &Engine, id: &str, to: &str, says: &Says<'_>) -> End {
    let Some(server) = &engine.settings.mail else {
        return End::GivenUp("this Attorn sends no mail".to_owned());
    };
    let Some(message) = message(engine, server, id, to, says) else {
        return End::GivenUp("the mail cannot be written".to_owned());
    };
    let sent = match server.transport() {
        Ok(transport) => transport.send(message).await,
        Err(error) => return End::GivenUp(error.to_string()),
    };
    match sent {
        Ok(_) => End::Done,
        Err(error) if error.is_permanent() => End::GivenUp(error.to_string()),
        Err(error) => End::Failed(error.to_string(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_server_uses_tls_unless_it_is_here() {
        let server = |url: &str| {
            MailServer::new("Attorn <attorn@example.com>", Secret::new(url.to_owned())).map(|_| ())
        };
        for good in [
            "smtps://user:pass@mail.example.com",
            "smtp://user:pass@mail.example.com:587?tls=required",
            "smtp://127.0.0.1:2525",
        ] {
            assert!(server(good).is_ok(), "{good}");
        }
        for bad in [
            "smtp://user:pass@mail.example.com",
            "smtp://mail.example.com?tls=opportunistic",
            "https://mail.example.com",
            "mail.example.com",
        ] {
            assert!(server(bad).is_err(), "{bad}");
        }
        let nobody = MailServer::new("nobody", Secret::new("smtp://127.0.0.1".to_owned()));
        assert!(matches!(nobody, Err(BadServer::From)));
    }

    #[test]
    fn what_others_chose_is_escaped_and_ends_no_line() {
        let words = Words {
            subject: cut("<b>\r\nBcc: eve@example.com"),
            lines: vec!["a <script> & \"b\"".to_owned()],
            link: "https://attorn.test/approve/apr_1".to_owned(),
            button: "Look",
        };
        assert!(!words.subject.contains(['\r', '\n']));
        let html = html(&words);
        assert!(html.contains("a &lt;script&gt; &amp; &quot;b&quot;") && !html.contains("<b>"));
    }
}
