//! The matrix as a page: `docs/refresh-matrix.md`.

use std::fmt::Write as _;

use domain::vault::providers::catalogue;

use crate::matrix_cells::{Class, LINES, Outcome, at};

const HEAD: &str = "\
# What becomes of a grant when a refresh goes wrong

Every way in which providers refresh, against every fault of the [sandbox](../sandbox/README.md) that can
strike a refresh. Each cell is played over real HTTP by `domain/tests/vault/matrix.rs`, and this page is
written from the same table: change the table there, then run

```
ATTORN_WRITE_MATRIX=1 cargo test -p domain --test vault the_page_says_what_the_cells_say
```

## The story of a cell

An account's access token has ten seconds left when an agent asks for it, so it is refreshed, and the
fault strikes. The agent asks again when the old token has run out; faults that are an outage strike a
second time then. It asks when the fault is over, and once more two hours later: that shows whether the
refresh token which Attorn kept is one that the provider honours. Every token handed out is tried at the
provider. At no time does an agent get a token that the provider does not honour, but where a provider
does not say how long its tokens live.

## Outcomes

";

const AFTER_OUTCOMES: &str = "
*Stored* is what lies in the database after the fault struck first: the state of the grant, and what is
known of the call. No outcome leaves an answer of a provider behind that nobody chose.

After a lost answer Attorn asks again by itself while a grace time lasts, whether or not anybody needs the
account. Only where it could not (it was down, or the provider away) until the grace time was over, the answer
is lost: where rotation is strict, and where it is not. Where a refresh spends the token at once it does not ask again before the old access token has run
out: asking could end that one too.

A grant is **lost** only where the provider had replaced the refresh token, told nobody its successor, and
does not answer the old one again: with rotation and no grace time, an answer lost on the way is lost for
anybody. *ended* is the provider's own word, and *withheld* an answer that leaves the successor out.

";

const AFTER_TABLE: &str = "
A call that takes longer than 20 seconds counts as `answer-lost-after-rotation`. Answers longer than
256 KiB are not read to their end.

## Providers

What each entry of the catalogue says of refreshing, where its provider documents it, and the cells in
which the provider's own ways make it differ from its class.

| provider | class | source | differs |
|---|---|---|---|
";

const FOOT: &str = "
Slack gives refresh tokens only to apps with token rotation; without it, its class is *none*. Where rotation
may be switched on for the app at the provider (*may rotate, and does*), an app without it is in *keeps*.
";

impl Outcome {
    /// The word in the table.
    fn word(self) -> &'static str {
        match self {
            Self::Renewed => "renewed",
            Self::Waits => "waits",
            Self::Unsure => "unsure",
            Self::AskedAgain => "asked again",
            Self::Lost => "**lost**",
            Self::Ended => "ended",
            Self::Client(_) => "client",
            Self::Refused(_) => "refused",
            Self::Withheld => "withheld",
            Self::Unannounced => "unannounced",
            Self::NeverAsked => "never asked",
        }
    }

    /// What the agent gets while the old token lives; when it has run out; when
    /// the fault is over. What the person sees. What is stored.
    fn told(self) -> [&'static str; 5] {
        match self {
            Self::Renewed => [
                "the new token",
                "the new token",
                "the new token",
                "linked",
                "grant fresh, call stored",
            ],
            Self::Waits => [
                "the old token",
                "`provider down`, with when to try again",
                "a new token",
                "linked",
                "grant fresh, call not carried out",
            ],
            Self::Unsure => [
                "the old token",
                "`provider down`, with when to try again",
                "a new token",
                "linked",
                "grant unknown, call unknown",
            ],
            Self::AskedAgain => [
                "the old token",
                "a new token",
                "the new token",
                "linked",
                "grant unknown, call unknown; then fresh",
            ],
            Self::Lost => [
                "the old token",
                "`reconnect: answer_lost`, with the link",
                "the same",
                "reconnect: answer_lost",
                "grant unknown, call unknown; then reconnect",
            ],
            Self::Ended => [
                "`reconnect: revoked`, with the link",
                "the same",
                "the same",
                "reconnect: revoked",
                "grant reconnect, call refused",
            ],
            Self::Client(_) => [
                "the old token",
                "`provider refused`, with the code",
                "a new token",
                "linked; the admin sees the connection as `invalid_client` until it works again",
                "grant fresh, call refused",
            ],
            Self::Refused(_) => [
                "the old token",
                "`provider refused`, with the code",
                "a new token",
                "linked",
                "grant fresh, call refused",
            ],
            Self::Withheld => [
                "the new token",
                "the new token",
                "`reconnect: revoked` at the next refresh",
                "reconnect: revoked",
                "grant fresh, call stored; then reconnect",
            ],
            Self::Unannounced => [
                "the new token",
                "a token that has ended; the first 401 renews it",
                "a new token",
                "linked",
                "grant fresh, call stored",
            ],
            Self::NeverAsked => [
                "the token it has",
                "the token it has",
                "the token it has",
                "linked",
                "grant fresh, no call",
            ],
        }
    }
}

/// The whole page.
pub fn written() -> String {
    let mut page = HEAD.to_owned();
    page += "| outcome | the agent gets, while the old token lives | when it has run out | when the fault is over | the person sees | stored |\n|---|---|---|---|---|---|\n";
    for outcome in Outcome::ALL {
        let told = outcome.told().join(" | ");
        let _ = writeln!(page, "| {} | {told} |", outcome.word());
    }
    page += AFTER_OUTCOMES;
    page += "## Cells\n\n| fault | what happens |";
    for class in Class::ALL {
        let _ = write!(page, " {} |", class.words());
    }
    page += "\n|---|---|";
    page += &"---|".repeat(Class::ALL.len());
    page.push('\n');
    for line in LINES {
        let (fault, what) = (line.fault, line.fault.what());
        let _ = write!(page, "| `{fault}` | {what} |");
        for class in Class::ALL {
            let _ = write!(page, " {} |", line.outcome(class).word());
        }
        page.push('\n');
    }
    page += AFTER_TABLE;
    for entry in catalogue() {
        let class = Class::of(entry);
        let differs: Vec<String> = LINES
            .iter()
            .map(|line| (line, at(&entry.id, line, class)))
            .filter(|(line, own)| *own != line.outcome(class))
            .filter(|(line, own)| own.word() != line.outcome(class).word())
            .map(|(line, own)| format!("`{}`: {}", line.fault, own.word()))
            .collect();
        let (name, source) = (&entry.name, &entry.source_page);
        let _ = writeln!(
            page,
            "| {name} | {} | <{source}> | {} |",
            class.words(),
            differs.join(", ")
        );
    }
    page += FOOT;
    page
}
