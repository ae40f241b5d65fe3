//! What was measured, as a table for people and as JSON for programs.

use std::fmt::Write as _;

use serde::Serialize;

use crate::load::Round;

/// Rounds of one program.
#[derive(Clone, Debug, Serialize)]
pub struct Series {
    /// Which program.
    pub program: String,
    /// In the order they were run.
    pub rounds: Vec<Round>,
}

impl Series {
    fn costs(&self) -> impl Iterator<Item = f64> {
        self.rounds.iter().map(Round::total_us)
    }
}

/// The middle and the ends of some values.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The middle one.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

impl Spread {
    /// Of values of which there is at least one.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        let half = values.len() / 2;
        let median = if values.len().is_multiple_of(2) && half > 0 {
            f64::midpoint(at(half - 1), at(half))
        } else {
            at(half)
        };
        Self {
            median,
            min: at(0),
            max: at(values.len().saturating_sub(1)),
        }
    }
}

/// One line of the report.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// What it says.
    pub what: String,
    /// What was measured.
    pub measured: String,
    /// What it should be.
    pub target: String,
    /// Whether it is; `None` where there is no target.
    pub reached: Option<bool>,
    /// The ratio, where it is one.
    pub ratio: Option<Spread>,
}

impl Figure {
    /// CPU time per request of one program over that of another, round by round: what disturbs the
    /// machine for a while disturbs both.
    pub fn ratio(what: &str, of: &Series, over: &Series, target: Option<f64>) -> Self {
        let ratio = Spread::of(of.costs().zip(over.costs()).map(|(of, over)| of / over));
        let mut measured = format!(
            "{:.2} ({:.2} to {:.2}): {:.0} µs over {:.0} µs",
            ratio.median,
            ratio.min,
            ratio.max,
            Spread::of(of.costs()).median,
            Spread::of(over.costs()).median,
        );
        let database = of.rounds.iter().filter_map(|round| round.database_cpu_us);
        let database = Spread::of(database).median;
        if database.is_finite() {
            let _ = write!(measured, ", {database:.0} µs of them the database's");
        }
        Self {
            what: what.to_owned(),
            measured,
            target: target.map(|most| format!("≤ {most}")).unwrap_or_default(),
            reached: target.map(|most| ratio.median <= most),
            ratio: Some(ratio),
        }
    }

    /// What the last round cost over what the first did: whether a request gets dearer with what went before.
    pub fn growth(what: &str, of: &Series) -> Option<Self> {
        let (first, last) = (of.rounds.first()?, of.rounds.last()?);
        let answered: u64 = of.rounds.iter().map(|round| round.answered).sum();
        let (first, last) = (first.total_us(), last.total_us());
        let measured = format!(
            "{:.2}: {last:.0} µs over {first:.0} µs, after {answered} requests",
            last / first
        );
        Some(Self::said(what, measured, "", None))
    }

    /// Something else.
    pub fn said(what: &str, measured: String, target: &str, reached: Option<bool>) -> Self {
        Self {
            what: what.to_owned(),
            measured,
            target: target.to_owned(),
            reached,
            ratio: None,
        }
    }
}

/// What a scenario gave.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// Its name.
    pub scenario: String,
    /// What it is, in a line.
    pub about: String,
    /// The figures.
    pub figures: Vec<Figure>,
    /// What they come from.
    pub series: Vec<Series>,
}

impl Outcome {
    /// Whether every answer was right.
    pub fn wrong(&self) -> Vec<String> {
        let of = |series: &Series| {
            let wrong = series.rounds.iter().flat_map(|round| &round.wrong);
            wrong
                .map(|(name, count)| format!("{}: {count} × {name}", series.program))
                .collect::<Vec<_>>()
        };
        self.series.iter().flat_map(of).collect()
    }
}

/// The report as Markdown.
pub fn markdown(machine: &str, outcomes: &[Outcome]) -> String {
    let mut text =
        format!("{machine}\n\n| figure | measured | target | reached |\n|---|---|---|---|\n");
    for figure in outcomes.iter().flat_map(|outcome| &outcome.figures) {
        let reached = match figure.reached {
            Some(true) => "yes",
            Some(false) => "no",
            None => "",
        };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {reached} |",
            figure.what, figure.measured, figure.target
        );
    }
    text.push_str(
        "\nCPU time per request of each program, and what its callers saw on a machine that they shared with it:\n\n\
         | scenario | program | CPU µs per request, median (least to most) | of it the database's | requests per second | p50 ms | p99 ms | other answers |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for outcome in outcomes {
        for series in &outcome.series {
            let _ = writeln!(text, "{}", row(outcome, series));
        }
    }
    text
}

fn row(outcome: &Outcome, series: &Series) -> String {
    let all = |value: fn(&Round) -> f64| Spread::of(series.rounds.iter().map(value));
    let cost = Spread::of(series.costs());
    let database = Spread::of(
        series
            .rounds
            .iter()
            .filter_map(|round| round.database_cpu_us),
    );
    let database = if database.median.is_finite() {
        format!("{:.0}", database.median)
    } else {
        String::new()
    };
    let wrong: u64 = series
        .rounds
        .iter()
        .flat_map(|round| round.wrong.values())
        .sum();
    format!(
        "| {} | {} | {:.1} ({:.1} to {:.1}) | {database} | {:.0} | {:.1} | {:.1} | {wrong} |",
        outcome.scenario,
        series.program,
        cost.median,
        cost.min,
        cost.max,
        all(|round| round.answered as f64 / round.seconds).median,
        all(|round| round.p50_us as f64 / 1e3).median,
        all(|round| round.p99_us as f64 / 1e3).median,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(program: &str, costs: &[f64]) -> Series {
        let round = |cost: &f64| Round {
            answered: 100,
            wrong: [("slow_down".to_owned(), 1)].into(),
            seconds: 1.0,
            cpu_us: *cost,
            database_cpu_us: None,
            p50_us: 1,
            p99_us: 2,
        };
        Series {
            program: program.to_owned(),
            rounds: costs.iter().map(round).collect(),
        }
    }

    #[test]
    fn the_median_of_the_rounds_ratios_is_held_against_the_target() {
        let (ours, peer) = (
            series("ours", &[10.0, 90.0, 12.0]),
            series("peer", &[20.0, 100.0, 48.0]),
        );
        let figure = Figure::ratio("x", &ours, &peer, Some(0.5));
        let ratio = figure.ratio.unwrap();
        assert_eq!((ratio.median, ratio.min, ratio.max), (0.5, 0.25, 0.9));
        assert_eq!(figure.reached, Some(true));
        assert_eq!(
            Figure::ratio("x", &ours, &peer, Some(0.49)).reached,
            Some(false)
        );
    }

    #[test]
    fn an_answer_that_was_not_right_is_not_hidden() {
        let outcome = Outcome {
            scenario: "x".to_owned(),
            about: String::new(),
            figures: Vec::new(),
            series: vec![series("ours", &[1.0])],
        };
        assert_eq!(outcome.wrong(), ["ours: 1 × slow_down"]);
        assert!(markdown("machine", &[outcome]).contains("| 1 |"));
    }
}
