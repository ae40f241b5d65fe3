//! The rule-based planner: a table of sentences, no model.

use serde::{Deserialize, Serialize};

/// The sentences it understands, as documentation and as hints on the page.
pub const EXAMPLES: [&str; 8] = [
    "list my Slack channels",
    "show the last messages in #general",
    "post \"release 2.1 is out\" to #general",
    "what is on my calendar today",
    "what is on my calendar tomorrow",
    "list my latest mails",
    "show my open Salesforce opportunities",
    "deploy billing 2.1",
];

/// Which day of a calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Day {
    /// The current one, where the calendar is.
    Today,
    /// The one after.
    Tomorrow,
}

/// What a sentence asks for: one tool and its input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "tool", rename_all = "snake_case", deny_unknown_fields)]
pub enum Plan {
    /// The channels of the person's Slack.
    ListChannels {},
    /// The last messages of one channel.
    ShowMessages {
        /// Its name without `#`.
        channel: String,
    },
    /// Post a message; asks for an approval first.
    PostMessage {
        /// Its name without `#`.
        channel: String,
        /// The text, as the person wrote it.
        text: String,
    },
    /// The events of one day.
    ShowCalendar {
        /// Which day.
        day: Day,
    },
    /// The newest mails.
    ListMails {},
    /// Opportunities that are not closed.
    ListOpportunities {},
    /// A demonstration of something with high stakes: asks for an approval,
    /// deploys nothing.
    Deploy {
        /// What.
        service: String,
        /// Which version.
        version: String,
    },
}

/// The planner has no rule for this sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "I am a small set of rules, not a language model, and have none for this sentence. These I understand: {}",
    EXAMPLES.join("; ")
)]
pub struct NotUnderstood {
    /// Sentences that would have been understood.
    pub examples: &'static [&'static str],
}

/// Finds what a sentence asks for. Case, spacing, a final point and the shape
/// of quotation marks do not matter; `please` is welcome.
///
/// # Errors
/// [`NotUnderstood`], with sentences that would have been.
pub fn plan(sentence: &str) -> Result<Plan, NotUnderstood> {
    let not_understood = || NotUnderstood {
        examples: &EXAMPLES,
    };
    if let Some(plan) = post(sentence) {
        return Ok(plan);
    }
    // Quotation marks mean a text to post; no other rule has any.
    let words: Vec<String> = sentence
        .trim()
        .trim_end_matches(['.', '!', '?', ' '])
        .replace(['’', '‘'], "'")
        .split_whitespace()
        .map(str::to_lowercase)
        .filter(|word| word != "please")
        .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    by_words(&words, sentence).ok_or_else(not_understood)
}

fn by_words(words: &[&str], sentence: &str) -> Option<Plan> {
    let (verb, rest) = words.split_first()?;
    let shows = matches!(*verb, "list" | "show" | "get");
    match rest {
        ["my", "slack", "channels"] | ["slack", "channels"] | ["my", "channels"] if shows => {
            Some(Plan::ListChannels {})
        }
        ["the", "last" | "latest", "messages", "in", channel]
        | ["the", "messages", "in", channel]
        | ["last" | "latest", "messages", "in", channel]
        | ["messages", "in", channel]
            if shows =>
        {
            channel_name(channel).map(|channel| Plan::ShowMessages { channel })
        }
        ["is", "on", "my", "calendar", day] if *verb == "what" => {
            day_of(day).map(|day| Plan::ShowCalendar { day })
        }
        ["on", "my", "calendar", day] if matches!(*verb, "what's" | "whats") => {
            day_of(day).map(|day| Plan::ShowCalendar { day })
        }
        ["my", "calendar", day] if shows => day_of(day).map(|day| Plan::ShowCalendar { day }),
        [
            "my",
            "latest" | "last" | "newest",
            "mails" | "emails" | "e-mails" | "mail",
        ]
        | ["my", "mails" | "emails" | "e-mails" | "mail"]
            if shows =>
        {
            Some(Plan::ListMails {})
        }
        ["my", "open", "salesforce", "opportunities"] | ["my", "open", "opportunities"]
            if shows =>
        {
            Some(Plan::ListOpportunities {})
        }
        [_, _] if *verb == "deploy" => deploy(sentence),
        _ => None,
    }
}

fn day_of(word: &str) -> Option<Day> {
    match word {
        "today" => Some(Day::Today),
        "tomorrow" => Some(Day::Tomorrow),
        _ => None,
    }
}

/// Service and version keep their case: `deploy Billing v2.1-RC1`.
fn deploy(sentence: &str) -> Option<Plan> {
    let sentence = sentence.trim().trim_end_matches(['.', '!', ' ']);
    let mut words = sentence
        .split_whitespace()
        .filter(|word| !word.eq_ignore_ascii_case("please"))
        .skip(1);
    let (service, version) = (words.next()?, words.next()?);
    let fits = |text: &str| {
        text.len() <= 80
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_./+".contains(&byte))
    };
    (fits(service) && fits(version)).then(|| Plan::Deploy {
        service: service.to_owned(),
        version: version.to_owned(),
    })
}

fn channel_name(word: &str) -> Option<String> {
    let name = word.strip_prefix('#').unwrap_or(word).to_lowercase();
    let fits = |character: char| character.is_alphanumeric() || matches!(character, '-' | '_');
    ((1..=80).contains(&name.chars().count()) && name.chars().all(fits)).then_some(name)
}

const QUOTES: &[char] = &['"', '“', '”', '„', '‟', '«', '»', '\'', '‘', '’', '‚'];

/// `post "…" to #channel`: the text between the first and the last quotation
/// mark, exactly as written.
fn post(sentence: &str) -> Option<Plan> {
    let sentence = sentence.trim();
    let first = sentence.find(QUOTES)?;
    let last = sentence.rfind(QUOTES)?;
    let open = sentence[first..].chars().next()?;
    let close = sentence[last..].chars().next()?;
    let is_single = |quote: char| matches!(quote, '\'' | '‘' | '’' | '‚');
    if last <= first || is_single(open) != is_single(close) {
        return None;
    }
    let text = &sentence[first + open.len_utf8()..last];
    let before: Vec<String> = sentence[..first]
        .split_whitespace()
        .map(str::to_lowercase)
        .filter(|word| word != "please")
        .collect();
    let verb = matches!(
        before
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .as_slice(),
        ["post" | "send" | "write" | "say"]
    );
    let after: Vec<String> = sentence[last + close.len_utf8()..]
        .trim()
        .trim_end_matches(['.', '!', ' '])
        .split_whitespace()
        .map(str::to_lowercase)
        .filter(|word| word != "please")
        .collect();
    let after: Vec<&str> = after.iter().map(String::as_str).collect();
    let channel = match after.as_slice() {
        ["to" | "in", channel] | ["to" | "in", channel, "on", "slack"] => channel_name(channel)?,
        _ => return None,
    };
    (verb && !text.trim().is_empty()).then(|| Plan::PostMessage {
        channel,
        text: text.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn post(text: &str, channel: &str) -> Plan {
        Plan::PostMessage {
            channel: channel.to_owned(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn every_documented_sentence_is_understood() {
        for sentence in EXAMPLES {
            assert!(plan(sentence).is_ok(), "{sentence}");
        }
    }

    #[test]
    fn sentences_mean_what_the_table_says() {
        let general = "general".to_owned();
        let deploy = |service: &str, version: &str| Plan::Deploy {
            service: service.to_owned(),
            version: version.to_owned(),
        };
        let cases = [
            ("List my  slack channels.", Plan::ListChannels {}),
            ("please show my Slack channels", Plan::ListChannels {}),
            (
                "Show the last messages in #General",
                Plan::ShowMessages {
                    channel: general.clone(),
                },
            ),
            (
                "show messages in general",
                Plan::ShowMessages { channel: general },
            ),
            (
                "post \"release 2.1 is out\" to #general",
                post("release 2.1 is out", "general"),
            ),
            ("Post “It’s  Out” to #ops.", post("It’s  Out", "ops")),
            ("post „hallo“ to ops", post("hallo", "ops")),
            (
                "send 'hi there' to #general on Slack",
                post("hi there", "general"),
            ),
            (
                "post \"say \"hi\"\" to #general",
                post("say \"hi\"", "general"),
            ),
            (
                "What’s on my calendar today?",
                Plan::ShowCalendar { day: Day::Today },
            ),
            (
                "what is on my calendar TOMORROW",
                Plan::ShowCalendar { day: Day::Tomorrow },
            ),
            ("list my latest e-mails", Plan::ListMails {}),
            (
                "show my open salesforce opportunities",
                Plan::ListOpportunities {},
            ),
            ("deploy Billing v2.1-RC1", deploy("Billing", "v2.1-RC1")),
            ("please deploy billing 2.1.", deploy("billing", "2.1")),
        ];
        for (sentence, wanted) in cases {
            assert_eq!(plan(sentence), Ok(wanted), "{sentence}");
        }
    }

    #[test]
    fn what_it_does_not_know_it_says_and_lists_what_it_does() {
        for sentence in [
            "",
            "hello",
            "post release to #general",
            "post \"\" to #general",
            "post \"a\" to",
            "post \"a\" to #gen eral",
            "post \"a' to #general",
            "delete \"a\" to #general",
            "deploy billing",
            "deploy billing 2;1",
            "what is on my calendar yesterday",
            "list my Slack channels and delete them",
        ] {
            let refused = plan(sentence).unwrap_err();
            assert!(refused.to_string().contains("not a language model"));
            assert!(refused.to_string().contains(EXAMPLES[0]), "{sentence}");
        }
    }

    proptest! {
        #[test]
        fn no_sentence_makes_it_stumble(sentence: String) {
            let _ = plan(&sentence);
        }

        #[test]
        fn a_posted_text_is_what_stood_between_the_quotes(text in "[^\"“”„‟«»'‘’‚]{0,30}[a-z]") {
            let plan = plan(&format!("post \"{text}\" to #general"));
            prop_assert_eq!(plan, Ok(post(&text, "general")));
        }
    }
}
