//! Our own line icons, 16 × 16, drawn with the text's colour.

use leptos::prelude::*;

/// Which one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say what is drawn")]
pub enum Icon {
    Overview,
    Accounts,
    Approvals,
    Agent,
    Activity,
    People,
    Clients,
    Connections,
    Policies,
    Audit,
    Device,
    Settings,
    SignOut,
    Menu,
    Chevron,
    Back,
    Tick,
    Cross,
    Bar,
    Clock,
    Warning,
    Arc,
    Copy,
    Dot,
    Plus,
    External,
}

impl Icon {
    const fn path(self) -> &'static str {
        match self {
            Self::Overview => {
                "M2.5 7.2 8 2.6l5.5 4.6v5.3a1 1 0 0 1-1 1h-9a1 1 0 0 1-1-1Z M6.3 13.5V9.6h3.4v3.9"
            }
            Self::Accounts => {
                "M6.6 9.4 9.4 6.6 M7.4 4.6l1.3-1.3a2.83 2.83 0 0 1 4 4l-1.3 1.3 M8.6 11.4l-1.3 1.3a2.83 2.83 0 0 1-4-4l1.3-1.3"
            }
            Self::Approvals => {
                "M8 1.9 13 3.7v4c0 3-2 5.3-5 6.4-3-1.1-5-3.4-5-6.4v-4Z M5.8 7.9l1.6 1.6 2.9-3.1"
            }
            Self::Agent => {
                "M8 2.2c.5 3.3 2.4 5.2 5.8 5.8C10.4 8.6 8.5 10.5 8 13.8 7.5 10.5 5.6 8.6 2.2 8 5.6 7.4 7.5 5.5 8 2.2Z"
            }
            Self::Activity => "M1.8 8.2h2.7l2-5 3 9.6 2-4.6h2.7",
            Self::People => {
                "M6 7.2a2.3 2.3 0 1 0 0-4.6 2.3 2.3 0 0 0 0 4.6Z M1.8 13.2c.3-2.4 1.9-3.8 4.2-3.8s3.9 1.4 4.2 3.8 M10.6 2.9a2.2 2.2 0 0 1 0 4.1 M11.9 9.8c1.3.500 2.1 1.7 2.3 3.4"
            }
            Self::Clients => {
                "M10 6.5a3.2 3.2 0 1 1-1.1-2.4 M7.4 7.8 2.6 12.6v1.2h1.8l.6-1.3h1.3l.5-1.5 M11.2 4.8h2.6 M12.5 3.5v2.6"
            }
            Self::Policies => {
                "M2.5 4.5h5 M11.5 4.5h2 M9.500 6.300a1.8 1.8 0 1 0 0-3.6 1.8 1.8 0 0 0 0 3.6Z M2.5 11.500h2 M8.500 11.500h5 M6.500 13.300a1.8 1.8 0 1 0 0-3.6 1.8 1.8 0 0 0 0 3.6Z"
            }
            Self::Connections => {
                "M5.5 2v3 M10.5 2v3 M3.8 5h8.4v2.2a4.2 4.2 0 0 1-8.4 0Z M8 11.4V14"
            }
            Self::Audit => "M4 2h6.2L13 4.8V14H4Z M10 2.2V5h2.8 M6.3 7.8h4.4 M6.3 10.6h4.4",
            Self::Device => {
                "M5.5 1.8h5a1 1 0 0 1 1 1v10.4a1 1 0 0 1-1 1h-5a1 1 0 0 1-1-1V2.8a1 1 0 0 1 1-1Z M7 11.9h2"
            }
            Self::Settings => {
                "M2.5 4.7h5.7 M11.8 4.7h1.7 M2.5 11.3h1.7 M7.8 11.3h5.7 M10 6.5a1.8 1.8 0 1 0 0-3.6 1.8 1.8 0 0 0 0 3.6Z M6 13.1a1.8 1.8 0 1 0 0-3.6 1.8 1.8 0 0 0 0 3.6Z"
            }
            Self::SignOut => "M6.5 2.5h-3a1 1 0 0 0-1 1v9a1 1 0 0 0 1 1h3 M10 5l3 3-3 3 M13 8H6.2",
            Self::Menu => "M2.5 4.5h11 M2.5 8h11 M2.5 11.5h11",
            Self::Chevron => "m6 3.5 4.5 4.5L6 12.5",
            Self::Back => "M10 3.5 5.5 8l4.5 4.5",
            Self::Tick => {
                "M8 14.25a6.25 6.25 0 1 0 0-12.5 6.25 6.25 0 0 0 0 12.5Z m-2.7-6 1.9 1.9 3.6-4.1"
            }
            Self::Cross => {
                "M8 14.25a6.25 6.25 0 1 0 0-12.5 6.25 6.25 0 0 0 0 12.5Z M5.8 5.8l4.4 4.4 M10.2 5.8l-4.4 4.4"
            }
            Self::Bar => "M8 14.25a6.25 6.25 0 1 0 0-12.5 6.25 6.25 0 0 0 0 12.5Z M5.3 8h5.4",
            Self::Clock => {
                "M8 14.25a6.25 6.25 0 1 0 0-12.5 6.25 6.25 0 0 0 0 12.5Z M8 4.7V8l2.2 1.5"
            }
            Self::Warning => "M8 2 14.6 13.6H1.4Z M8 6.4v3.2 M8 11.5v.1",
            Self::Arc => "M8 1.75A6.25 6.25 0 1 1 1.75 8",
            Self::Copy => {
                "M5.5 5.5V3a1 1 0 0 1 1-1H13a1 1 0 0 1 1 1v6.5a1 1 0 0 1-1 1h-2.5 M3 5.5h6.5a1 1 0 0 1 1 1V13a1 1 0 0 1-1 1H3a1 1 0 0 1-1-1V6.5a1 1 0 0 1 1-1Z"
            }
            Self::Dot => "M8 10.2a2.2 2.2 0 1 0 0-4.4 2.2 2.2 0 0 0 0 4.4Z",
            Self::Plus => "M8 3v10 M3 8h10",
            Self::External => {
                "M9.5 2.5h4v4 M13.3 2.7 7.5 8.5 M11.5 9.5v3a1 1 0 0 1-1 1h-7a1 1 0 0 1-1-1v-7a1 1 0 0 1 1-1h3"
            }
        }
    }
}

/// An icon. It says nothing to a screen reader: a word stands beside it.
pub fn icon(which: Icon) -> impl IntoView {
    view! {
        <svg
            viewBox="0 0 16 16"
            width="16"
            height="16"
            fill="none"
            stroke="currentColor"
            stroke-width="1.5"
            stroke-linecap="round"
            stroke-linejoin="round"
            aria-hidden="true"
        >
            <path d=which.path()></path>
        </svg>
    }
}
