//! Promise 1, cell by cell: every way of refreshing against every fault.

use domain::vault::providers::catalogue;
use domain::vault::{Error, Reason};
use sandbox::{Fault, Provider};

use crate::matrix_cells::{Class, LINES, Line, Outcome, at, concerns_a_refresh};
use crate::matrix_page;
use crate::matrix_story::{Cell, Seen, is_honoured, linked, play, strike, token};
use crate::stage::Stage;

/// The entries that the columns are played with: stand-ins for classes, and
/// every provider that has a lookalike of its own.
const COLUMNS: [(&str, Class); 10] = [
    ("google", Class::Keeps),
    ("stand-in-old-valid", Class::OldValid),
    ("stand-in-grace", Class::Grace),
    ("stand-in-rotates", Class::Rotates),
    ("stand-in-strict-grace", Class::StrictGrace),
    ("stand-in-strict", Class::Strict),
    // Slack without token rotation gives no refresh token.
    ("slack", Class::None),
    ("slack", Class::Rotates),
    // Salesforce with rotation switched on for the app, and without.
    ("salesforce", Class::May),
    ("salesforce", Class::Keeps),
];

fn cells(lines: impl Fn(&Line) -> bool) -> Vec<Cell> {
    COLUMNS
        .into_iter()
        .flat_map(|(entry, class)| {
            LINES
                .iter()
                .filter(|line| lines(line))
                .map(move |line| Cell {
                    entry,
                    class,
                    line,
                    outcome: at(entry, line, class),
                })
        })
        .collect()
}

/// Plays cells and says of every one that came out otherwise how.
async fn differing(stage: &Stage, cells: &[Cell]) -> Vec<String> {
    let seen = play(stage, cells).await;
    assert_eq!(seen.len(), cells.len());
    cells
        .iter()
        .zip(seen)
        .map(|(cell, seen)| (cell, Seen::of(cell), seen))
        .filter(|(_, meant, seen)| meant != seen)
        .map(|(cell, meant, seen)| {
            let (entry, fault) = (cell.entry, cell.line.fault);
            let class = cell.class.words();
            format!("{entry} ({class}) under {fault}:\n  meant {meant:?}\n  seen  {seen:?}")
        })
        .collect()
}

#[tokio::test]
async fn every_cell_comes_out_as_stated() {
    let stage = Stage::new().await;
    let cells = cells(|line| line.fault != Fault::KeepAliveClosed);
    let wrong = differing(&stage, &cells).await;
    assert!(
        wrong.is_empty(),
        "{} of {} cells:\n{}",
        wrong.len(),
        cells.len(),
        wrong.join("\n")
    );
    assert!(
        stage.control.followed_redirects().is_empty(),
        "a secret was carried to another address"
    );
}

/// One after the other: whoever uses the closed connection next is hit.
#[tokio::test]
async fn a_connection_that_closes_behind_our_back_costs_no_grant() {
    let stage = Stage::new().await;
    for cell in cells(|line| line.fault == Fault::KeepAliveClosed) {
        let wrong = differing(&stage, std::slice::from_ref(&cell)).await;
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

#[tokio::test]
async fn an_answer_lost_within_a_grace_time_is_regained_though_nobody_asks_again() {
    for class in [Class::Grace, Class::StrictGrace] {
        let stage = Stage::new().await;
        regained(&stage, class).await;
    }
}

/// The one cell of this way of refreshing in which the answer is lost.
fn lost(class: Class) -> Cell {
    let lost = |line: &Line| line.fault == Fault::AnswerLostAfterRotation;
    let mut cells = cells(lost).into_iter();
    cells.find(|cell| cell.class == class).unwrap()
}

#[tokio::test]
async fn an_answer_that_nobody_could_ask_for_again_within_the_grace_time_is_lost() {
    for class in [Class::Grace, Class::StrictGrace] {
        let stage = Stage::new().await;
        let cell = lost(class);
        let account = linked(&stage, &cell).await;
        strike(&stage, &cell);
        stage.pass(3590);
        assert!(token(&stage, &account).await.is_ok(), "the old one lives");
        stage.settle().await;
        // Attorn does not run until the grace time is long over.
        let Stage { bench, control, .. } = &stage;
        let again = stage.refreshes(Provider::Google);
        bench.advance(std::time::Duration::from_secs(7200));
        let reason = match token(&stage, &account).await {
            Err(Error::Reconnect { reason, .. }) => reason,
            other => panic!("{class:?}: {:?}", other.err()),
        };
        assert_eq!(reason, Reason::AnswerLost, "{class:?}");
        assert!(control.token_calls(Provider::Google, "refresh_token") > again);
    }
}

async fn regained(stage: &Stage, class: Class) {
    let cell = &lost(class);
    let account = linked(stage, cell).await;
    strike(stage, cell);
    stage.pass(3590);
    assert!(token(stage, &account).await.is_ok(), "the old one lives");
    let refreshes = || stage.refreshes(Provider::Google);
    assert_eq!(refreshes(), 1);
    // The grace time is 60 s, and nobody needs the account in it. Time stands
    // still while the refresh is under way.
    stage.pass(2);
    for _ in 0..2000 {
        if refreshes() > 1 {
            break;
        }
        stage.breathe().await;
    }
    stage.settle().await;
    assert_eq!(refreshes(), 2);
    stage.pass(3600);
    assert!(token(stage, &account).await.is_ok());
    assert_eq!(refreshes(), 3);
}

#[tokio::test]
async fn a_living_token_is_not_put_at_risk_by_asking_again() {
    let stage = Stage::new().await;
    let all =
        cells(|line| [Fault::AnswerLostAfterRotation, Fault::ServerError].contains(&line.fault));
    for cell in all
        .iter()
        .filter(|cell| [Class::Rotates, Class::Strict].contains(&cell.class))
    {
        let account = linked(&stage, cell).await;
        let first = token(&stage, &account).await.unwrap();
        strike(&stage, cell);
        let at = cell.at();
        let before = stage.refreshes(at);
        let life = first.expires_at.unwrap() - stage.now();
        // Four minutes left: it is refreshed beside its use, and nobody knows what came of it.
        stage.pass(u64::try_from(life / 1000 - 240).unwrap());
        for _ in 0..4 {
            let same = token(&stage, &account).await.unwrap();
            assert_eq!(same.access.expose(), first.access.expose());
            assert!(is_honoured(&stage, at, &same).await, "{}", cell.entry);
            for _ in 0..2000 {
                if stage.refreshes(at) > before {
                    break;
                }
                stage.breathe().await;
            }
            stage.settle().await;
            stage.pass(50);
        }
        assert_eq!(stage.refreshes(at), before + 1, "{}", cell.entry);
        stage.control.clear();
        stage.pass(60);
        let came = token(&stage, &account).await;
        assert_eq!(
            came.is_ok(),
            cell.outcome == Outcome::Unsure,
            "{}: {:?}",
            cell.entry,
            came.err()
        );
    }
}

#[test]
fn every_fault_that_can_strike_a_refresh_has_its_line() {
    let names = |all: &mut dyn Iterator<Item = Fault>| {
        let mut names: Vec<&str> = all.map(Fault::name).collect();
        names.sort_unstable();
        names.dedup();
        names
    };
    let meant = names(
        &mut Fault::ALL
            .iter()
            .copied()
            .filter(|f| concerns_a_refresh(*f)),
    );
    let lines = names(&mut LINES.iter().map(|line| line.fault));
    assert_eq!(lines, meant);
    assert!(lines.len() >= 60);
}

#[test]
fn every_class_and_every_provider_has_a_column() {
    for class in Class::ALL {
        let played = COLUMNS.iter().any(|(_, column)| *column == class);
        assert!(played, "{}", class.words());
    }
    for entry in catalogue() {
        assert!(Class::ALL.contains(&Class::of(entry)), "{}", entry.id);
    }
    for (id, class) in COLUMNS.into_iter().filter(|(_, c)| *c != Class::None) {
        let entry = domain::vault::providers::provider(id).unwrap();
        // What may rotate is played without rotation, too.
        let also = (Class::of(entry) == Class::May).then_some(Class::Keeps);
        assert!(
            Class::of(entry) == class || also == Some(class),
            "{id}: {}",
            class.words()
        );
    }
}

#[test]
fn a_grant_is_lost_only_where_its_successor_came_to_nobody() {
    // What the lookalike did and then did not tell, in bytes that a reader could have used.
    let untold = [
        Fault::AnswerLostAfterRotation,
        Fault::ConnectionResetAfterRotation,
        Fault::ClosedMidHeaders,
        Fault::ErrorAfterRotation,
        Fault::TimeoutAfterRotation,
        Fault::HtmlAfterRotation,
        Fault::EmptyBody,
        Fault::NoContent,
        Fault::TruncatedJson,
        Fault::BodyCutOff,
        // Told, behind more bytes than anybody reads.
        Fault::HugeBody { mib: 1 },
        Fault::EndlessStream,
    ];
    for line in LINES {
        for class in Class::ALL {
            let lost = line.outcome(class) == Outcome::Lost;
            let spends = [Class::May, Class::Rotates, Class::Strict].contains(&class);
            let may = untold.contains(&line.fault) && spends;
            assert_eq!(lost, may, "{} under {}", class.words(), line.fault);
        }
    }
}

#[test]
fn the_page_says_what_the_cells_say() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/refresh-matrix.md");
    let page = matrix_page::written();
    if std::env::var_os("ATTORN_WRITE_MATRIX").is_some() {
        std::fs::write(path, page).unwrap();
        return;
    }
    let there = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        there == page,
        "docs/refresh-matrix.md is out of date: run this test once with ATTORN_WRITE_MATRIX=1"
    );
}
