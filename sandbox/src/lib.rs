//! Lookalike Slack, Google and Salesforce over real HTTP, for demos, tests and benches.
//!
//! The sandbox stands where the real services would stand: a program under test is pointed at its
//! URLs and cannot tell, from shapes, status codes and quirks, that nobody real is there. It knows
//! nothing of the program that uses it. Whatever a provider may do wrong (lose an answer after
//! rotating a token, answer HTML, hang, change its mind) is a [`Fault`] that can be switched on.
//!
//! ```no_run
//! # async fn story() -> std::io::Result<()> {
//! use sandbox::{Client, Config, Fault, Provider, Sandbox, Times};
//!
//! let mut config = Config::system();
//! config.clients.push(Client::new(Provider::Slack, "id", "secret", ["http://localhost/callback"]));
//! let sandbox = Sandbox::start(config).await?;
//! println!("{}", sandbox.slack_url());
//! sandbox.control().set_fault(Provider::Slack, Fault::ServerError, Times::Once);
//! # Ok(()) }
//! ```
//!
//! # The map
//!
//! | file | what lies there |
//! |---|---|
//! | `config` | what a sandbox is started with: people, registered clients, clock, randomness |
//! | `serve` | the socket, the connections, the graceful stop |
//! | `line` | what hyper never does with a connection: hanging up, resetting, unasked interim answers |
//! | `wire` | one request as the lookalikes see it; the door that records, spoils and holds answers |
//! | `faults` | in `faults/list` every fault, in `target` where it goes; what it does: `struck` while a lookalike works, `instead` of any work, `spoil` and `bytes` on the way out |
//! | `control` | the switches and the log, in process |
//! | `switches` | the same switches over HTTP, under `/control/` |
//! | `store` | what is remembered; in `store/tokens`, codes and families of tokens and their rules |
//! | `authorize` | the consent page's rules, common to the three providers |
//! | `pages` | the HTML |
//! | `slack`, `google`, `salesforce` | one lookalike each: its shapes, its errors, its data |

#![expect(
    clippy::result_large_err,
    reason = "an error of a lookalike is a whole HTTP answer, and no path here is hot"
)]

mod authorize;
mod config;
mod control;
mod faults;
mod google;
mod line;
mod pages;
mod salesforce;
mod serve;
mod slack;
mod store;
mod switches;
mod wire;

pub use config::{Client, Clock, Config, Person, Provider, Randomness, Rotation};
pub use control::{Control, Gate, Recorded};
pub use faults::{Fault, Target, Times};
pub use google::SentMail;
pub use serve::Sandbox;
pub use slack::PostedMessage;
pub use store::{Issued, TokenKind};
