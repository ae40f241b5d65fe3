//! Every way a provider can be made to misbehave.
//!
//! A fault has a stable kebab-case name, some with a number behind a colon (`slow-answer:250`). It is
//! aimed at a [`Target`]; without one it goes where it naturally belongs, so that a one-shot
//! `strict-rotation` is not used up by an API call. `faults/list.rs` is the one list; `README.md`
//! repeats it as a table, and a test compares the two.

mod bytes;
mod instead;
mod list;
mod spoil;
mod struck;
mod target;

use std::fmt;
use std::str::FromStr;

pub(crate) use instead::Place;
pub use list::Fault;
pub(crate) use spoil::Passing;
pub(crate) use struck::Struck;
pub use target::Target;

use crate::config::Provider;

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self.number() {
            Some(number) => write!(f, ":{number}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, number) = match text.split_once(':') {
            Some((name, digits)) => {
                let number: u32 = digits
                    .parse()
                    .map_err(|_| format!("{digits:?} is not a whole number"))?;
                (name, Some(number))
            }
            None => (text, None),
        };
        let fault = Fault::ALL
            .iter()
            .find(|fault| fault.name() == name)
            .ok_or_else(|| format!("no fault is called {name:?}"))?;
        match number {
            Some(number) => fault
                .numbered(number)
                .ok_or_else(|| format!("{name} takes no number")),
            None => Ok(*fault),
        }
    }
}

/// How often a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    Once,
    N(u32),
    /// Until `Control::clear`.
    Always,
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Times::Once => f.write_str("once"),
            Times::N(number) => write!(f, "{number}"),
            Times::Always => f.write_str("always"),
        }
    }
}

impl FromStr for Times {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "once" => Ok(Times::Once),
            "always" => Ok(Times::Always),
            number => number
                .parse()
                .map(Times::N)
                .map_err(|_| format!("times is once, always or a number, not {text:?}")),
        }
    }
}

/// A fault that waits for its requests.
#[derive(Clone, Debug)]
pub(crate) struct Armed {
    pub provider: Provider,
    /// `None` strikes whoever asks.
    pub client: Option<String>,
    pub target: Target,
    pub fault: Fault,
    pub times: Times,
}
