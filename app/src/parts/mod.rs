//! What pages share. Compiled for server and browser alike, so nothing here
//! knows Fluent or the domain: words come in as props.

mod approvals;
mod copy;
mod count;
mod icon;
mod mark;
mod prompt;
mod run;
mod status;

pub use approvals::PendingList;
pub use copy::CopyButton;
pub use count::PendingCount;
pub use icon::{Icon, icon};
pub use mark::{mark, wordmark};
pub use prompt::{Prompt, PromptWords};
pub use run::{RunBoard, RunWords};
pub use status::{pill, status, when};

#[cfg(feature = "ssr")]
mod fields;
#[cfg(feature = "ssr")]
pub(crate) use approvals::approval_row;
#[cfg(feature = "ssr")]
pub(crate) use fields::{
    Field, banner, check, copyable, empty, facts, form_banner, notice, radio, select, text_area,
    text_field,
};
