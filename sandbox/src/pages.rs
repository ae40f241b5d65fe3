//! The HTML: self-contained, no script, every value escaped.

use crate::config::{Person, Provider};
use crate::slack::PostedMessage;

/// Text made safe for element content and quoted attributes.
pub(crate) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

fn accent(provider: Provider) -> &'static str {
    match provider {
        Provider::Slack => "#5b2a66",
        Provider::Google => "#1a56c4",
        Provider::Salesforce => "#035e96",
    }
}

fn page(title: &str, accent: &str, content: &str) -> String {
    format!(
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ --accent: {accent}; font: 16px/1.5 system-ui, sans-serif; color: #1b1b1f; background: #f4f4f6; }}
body {{ margin: 0; display: grid; place-items: start center; padding: 8vh 1rem; }}
main {{ background: #fff; border-top: 6px solid var(--accent); border-radius: 10px; box-shadow: 0 1px 8px #0002; padding: 1.5rem 1.75rem; max-width: 30rem; width: 100%; box-sizing: border-box; }}
h1 {{ font-size: 1.25rem; margin: 0 0 .5rem; }}
ul {{ padding-left: 1.1rem; }}
code {{ font-size: .9em; overflow-wrap: anywhere; }}
form {{ margin: .6rem 0; }}
button {{ font: inherit; width: 100%; text-align: left; padding: .7rem 1rem; border: 1px solid #8a8a94; border-radius: 8px; background: #fff; color: inherit; cursor: pointer; }}
button:hover, button:focus-visible {{ border-color: var(--accent); outline: 2px solid var(--accent); }}
button strong, button span {{ display: block; }}
button span {{ color: #55555e; }}
.deny {{ text-align: center; color: #8c1d18; }}
footer {{ margin-top: 1.25rem; font-size: .85rem; color: #55555e; }}
</style>
</head>
<body>
<main>
{content}
<footer>A lookalike for trying things out. Nobody real is here.</footer>
</main>
</body>
</html>
"#
    )
}

/// The consent page: one form per person, each a button with name and address, and a way to refuse.
pub(crate) fn consent(
    provider: Provider,
    app: &str,
    scopes: &[String],
    people: &[Person],
    action: &str,
) -> String {
    let scopes: String = scopes
        .iter()
        .map(|scope| format!("<li><code>{}</code></li>\n", escaped(scope)))
        .collect();
    let action = escaped(action);
    let people: String = people
        .iter()
        .map(|person| {
            let (name, email) = (escaped(&person.name), escaped(&person.email));
            format!(
                r#"<form class="person" method="post" action="{action}">
<input type="hidden" name="email" value="{email}">
<button type="submit"><strong>{name}</strong><span>{email}</span></button>
</form>
"#
            )
        })
        .collect();
    let title = provider.title();
    let content = format!(
        r#"<h1>{app} asks for access to {title}</h1>
<p>It would like to use:</p>
<ul>
{scopes}</ul>
<p>Allow this as</p>
{people}<form method="post" action="{action}">
<input type="hidden" name="deny" value="1">
<button class="deny" type="submit">Deny</button>
</form>"#,
        app = escaped(app),
    );
    page(
        &format!("Allow access – {title} sandbox"),
        accent(provider),
        &content,
    )
}

/// What a person sees when the request cannot be trusted enough to be redirected.
pub(crate) fn problem(provider: Provider, why: &str) -> String {
    let content = format!(
        "<h1>This link does not work</h1>\n<p>Reason: {}.</p>",
        escaped(why)
    );
    page(
        &format!("Error – {} sandbox", provider.title()),
        accent(provider),
        &content,
    )
}

/// What was posted to Slack, by channel in the order it came.
pub(crate) fn messages(messages: &[PostedMessage]) -> String {
    let items: String = messages
        .iter()
        .map(|message| {
            format!(
                "<li><strong>#{}</strong> {} <span>({})</span></li>\n",
                escaped(&message.channel_name),
                escaped(&message.text),
                escaped(&message.author),
            )
        })
        .collect();
    let content = format!("<h1>Acme on Slack</h1>\n<ul id=\"messages\">\n{items}</ul>");
    page("Acme – Slack sandbox", accent(Provider::Slack), &content)
}

/// Where everything is.
pub(crate) fn index(url: &str) -> String {
    let links: String = Provider::ALL
        .iter()
        .map(|provider| {
            format!(
                "<li>{}: <code>{url}/{provider}</code></li>\n",
                provider.title()
            )
        })
        .collect();
    let content = format!(
        "<h1>Sandbox</h1>\n<ul>\n{links}<li><a href=\"/slack/\">Messages posted to Slack</a></li>\n\
         <li>Switches: <code>{url}/control/</code></li>\n</ul>"
    );
    page("Sandbox", "#33333a", &content)
}
