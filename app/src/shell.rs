//! The document, the console's frame, and the page that stands alone.

use axum::http::header;
use leptos::config::LeptosOptions;
use leptos::nonce::use_nonce;
use leptos::prelude::*;
use leptos_meta::{MetaTags, Title};

use crate::api::Tone;
use crate::context::{self, FormTargets, Viewer};
use crate::pages::App;
use crate::parts::{Icon, PendingCount, banner, icon, wordmark};
use crate::words::t;

/// The whole document; what the server renders for every route.
#[must_use]
pub fn shell(options: LeptosOptions) -> impl IntoView {
    let nonce = use_nonce();
    set_policy(&use_context::<FormTargets>().unwrap_or_default().0);
    let person = context::viewer().map(|viewer| viewer.person_id);
    view! {
        <!DOCTYPE html>
        <html lang="en" data-person=person>
            <head>
                <meta charset="utf-8" />
                <meta name="viewport" content="width=device-width, initial-scale=1, viewport-fit=cover" />
                <meta name="color-scheme" content="light dark" />
                <meta name="theme-color" content="#fbfaf9" media="(prefers-color-scheme: light)" />
                <meta name="theme-color" content="#0e0e13" media="(prefers-color-scheme: dark)" />
                <meta name="referrer" content="same-origin" />
                <link rel="icon" href="/favicon.svg" type="image/svg+xml" />
                <link rel="manifest" href="/manifest.webmanifest" />
                <link rel="apple-touch-icon" href="/icon-192.png" />
                <link rel="stylesheet" href="/pkg/app.css" />
                <HydrationScripts options=options islands=true />
                <script type="module" src="/live.js" nonce=nonce></script>
                <MetaTags />
            </head>
            <body>
                <App />
            </body>
        </html>
    }
}

/// Sets the content security policy of the page that is being drawn. Drawn
/// outside a server, in a test, it has none.
fn set_policy(targets: &[String]) {
    if let Some(nonce) = use_nonce() {
        context::set_header(header::CONTENT_SECURITY_POLICY, &policy(&nonce, targets));
    }
}

/// The content security policy of a page. `targets` are further origins that a
/// form on it may lead to.
fn policy(nonce: &str, targets: &[String]) -> String {
    let mut form = String::from("'self'");
    for target in targets {
        // Anything that could end the directive is no origin.
        if !target.contains([' ', ';', ',', '\'']) {
            form.push(' ');
            form.push_str(target);
        }
    }
    format!(
        "default-src 'self'; script-src 'self' 'nonce-{nonce}' 'wasm-unsafe-eval'; \
         style-src 'self' 'nonce-{nonce}'; img-src 'self' data:; object-src 'none'; \
         base-uri 'none'; form-action {form}; frame-ancestors 'none'"
    )
}

/// Where in the console a page stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Overview,
    Accounts,
    Approvals,
    Agent,
    Activity,
    Devices,
    Settings,
    People,
    Clients,
    Connections,
    Policies,
    Audit,
}

struct Entry {
    place: Place,
    href: &'static str,
    words: &'static str,
    icon: Icon,
}

const fn entry(place: Place, href: &'static str, words: &'static str, icon: Icon) -> Entry {
    Entry {
        place,
        href,
        words,
        icon,
    }
}

/// How many of them the bar of a narrow screen has.
const MAIN: usize = 5;

const EVERYBODY: [Entry; 6] = [
    entry(Place::Overview, "/", "nav-overview", Icon::Overview),
    entry(Place::Accounts, "/accounts", "nav-accounts", Icon::Accounts),
    entry(
        Place::Approvals,
        "/approvals",
        "nav-approvals",
        Icon::Approvals,
    ),
    entry(Place::Agent, "/agent", "nav-agent", Icon::Agent),
    entry(Place::Activity, "/activity", "nav-activity", Icon::Activity),
    entry(Place::Devices, "/devices", "nav-devices", Icon::Device),
];

const ADMINS: [Entry; 5] = [
    entry(Place::People, "/admin/people", "nav-people", Icon::People),
    entry(
        Place::Clients,
        "/admin/clients",
        "nav-clients",
        Icon::Clients,
    ),
    entry(
        Place::Connections,
        "/admin/connections",
        "nav-connections",
        Icon::Connections,
    ),
    entry(
        Place::Policies,
        "/admin/policies",
        "nav-policies",
        Icon::Policies,
    ),
    entry(Place::Audit, "/admin/audit", "nav-audit", Icon::Audit),
];

fn links(entries: &'static [Entry], place: Place, pending: i64) -> Vec<AnyView> {
    entries
        .iter()
        .map(|entry| {
            let count = (entry.place == Place::Approvals).then(|| {
                view! { <PendingCount initial=pending words=t("pending-words") /> }
            });
            view! {
                <a
                    class="rail-link"
                    href=entry.href
                    aria-current=(entry.place == place).then_some("page")
                >
                    {icon(entry.icon)}
                    <span class="label">{t(entry.words)}</span>
                    {count}
                </a>
            }
            .into_any()
        })
        .collect()
}

fn initials(name: &str) -> String {
    name.split_whitespace()
        .filter_map(|word| word.chars().next())
        .take(2)
        .flat_map(char::to_uppercase)
        .collect()
}

fn sign_out(class: &'static str) -> AnyView {
    view! {
        <form method="post" action="/sign-out">
            <button class=class type="submit">
                {icon(Icon::SignOut)}
                <span>{t("nav-sign-out")}</span>
            </button>
        </form>
    }
    .into_any()
}

/// The head of a page in the console.
pub(crate) struct Head {
    pub place: Place,
    pub title: String,
    pub lede: Option<String>,
    /// Where the way back leads, with its words.
    pub back: Option<(&'static str, String)>,
    /// At most one primary button.
    pub action: Option<AnyView>,
    pub narrow: bool,
}

impl Head {
    pub fn new(place: Place, title: String, lede: String) -> Self {
        Self {
            place,
            title,
            lede: Some(lede),
            back: None,
            action: None,
            narrow: false,
        }
    }

    pub fn back(mut self, href: &'static str, words: String) -> Self {
        self.back = Some((href, words));
        self
    }

    pub fn action(mut self, action: AnyView) -> Self {
        self.action = Some(action);
        self
    }

    pub fn narrow(mut self) -> Self {
        self.narrow = true;
        self
    }
}

/// The console: rail, page head, page; a bar below on a narrow screen.
pub(crate) fn console(viewer: &Viewer, pending: i64, head: Head, body: AnyView) -> AnyView {
    let place = head.place;
    let title = head.title.clone();
    let admin = viewer.admin;
    let page_class = if head.narrow { "page narrow" } else { "page" };
    view! {
        <Title text=format!("{title} · Attorn") />
        <a class="skip" href="#content">{t("skip")}</a>
        <div class="console">
            <aside class="rail">
                <a class="wordmark" href="/">{wordmark()}</a>
                <nav aria-label=t("nav-name")>
                    <div class="rail-group">{links(&EVERYBODY, place, pending)}</div>
                    {admin
                        .then(|| {
                            view! {
                                <div class="rail-group">
                                    <p class="rail-title">{t("nav-admin")}</p>
                                    {links(&ADMINS, place, pending)}
                                </div>
                            }
                        })}
                </nav>
                <div class="rail-foot">
                    {live()}
                    <a
                        class="rail-person"
                        href="/settings"
                        aria-current=(place == Place::Settings).then_some("page")
                    >
                        <span class="avatar" aria-hidden="true">{initials(&viewer.name)}</span>
                        <span>
                            <b>{viewer.name.clone()}</b>
                            <small>{viewer.email.clone()}</small>
                        </span>
                    </a>
                    {sign_out("rail-link button quiet small wide")}
                </div>
            </aside>
            <header class="topbar">
                <a class="wordmark" href="/">{wordmark()}</a>
                <details class="menu">
                    <summary aria-label=t("nav-more")>{icon(Icon::Menu)}</summary>
                    <div>
                        <p class="muted">{viewer.email.clone()}</p>
                        {links(&EVERYBODY[MAIN..], place, pending)}
                        {admin.then(|| links(&ADMINS, place, pending))}
                        <a class="rail-link" href="/settings">
                            {icon(Icon::Settings)}
                            <span>{t("nav-settings")}</span>
                        </a>
                        {sign_out("rail-link")}
                    </div>
                </details>
            </header>
            <main class=page_class id="content" tabindex="-1">
                {head
                    .back
                    .map(|(href, words)| {
                        view! {
                            <p>
                                <a class="crumb" href=href>
                                    {icon(Icon::Back)}
                                    {words}
                                </a>
                            </p>
                        }
                    })}
                {unadopted(viewer)}
                <div class="page-head">
                    <div>
                        <h1>{title.clone()}</h1>
                        {head.lede.map(|lede| view! { <p>{lede}</p> })}
                    </div>
                    {head.action}
                </div>
                <div class="page-body">{body}</div>
            </main>
            <nav class="bottom-bar" aria-label=t("nav-name-short")>
                {links(&EVERYBODY[..MAIN], place, pending)}
            </nav>
        </div>
    }
    .into_any()
}

/// Tells admins that this database is a copy that nobody has adopted.
fn unadopted(viewer: &Viewer) -> Option<AnyView> {
    let engine = use_context::<domain::Engine>()?;
    (viewer.admin && !engine.adoption.is_adopted()).then(|| {
        let text = Some(t("copy-text"));
        view! { <div class="page-notice">{banner(Tone::Bad, t("copy-title"), text, None)}</div> }
            .into_any()
    })
}

fn live() -> AnyView {
    view! {
        <p class="live">
            {icon(Icon::Dot)} <span class="when-on">{t("live-on")}</span>
            <span class="when-away">{t("live-away")}</span>
        </p>
    }
    .into_any()
}

/// A page that stands alone: sign-in, decision, consent, link.
pub(crate) fn alone(
    title: String,
    slim: bool,
    viewer: Option<&Viewer>,
    body: AnyView,
    foot: Option<String>,
) -> AnyView {
    let class = if slim { "alone slim" } else { "alone" };
    let who = viewer.map(|viewer| {
        view! { <span class="subtle">{viewer.email.clone()}</span> }
    });
    view! {
        <Title text=format!("{title} · Attorn") />
        <div class=class>
            <header>
                <a class="wordmark" href="/">{wordmark()}</a>
                {who}
            </header>
            <main id="content">{body}</main>
            <footer>{foot}</footer>
        </div>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_cannot_end_its_directive() {
        let policy = policy(
            "n",
            &[
                "https://client.example".to_owned(),
                "https://x; script-src *".to_owned(),
            ],
        );
        assert!(policy.contains("form-action 'self' https://client.example; frame-ancestors"));
        assert!(!policy.contains("script-src *"));
    }

    #[test]
    fn initials_are_two_letters_at_most() {
        assert_eq!(initials("Ada king Lovelace"), "AK");
        assert_eq!(initials(""), "");
    }
}
