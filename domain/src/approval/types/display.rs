//! Types that Attorn only displays: the agent carries them out.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::checks::{line, maybe_line};
use super::{Rows, row};

/// A deployment that the agent carries out itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    /// What is deployed.
    pub service: String,
    /// Which version.
    pub version: String,
    /// Where to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
}

/// A payment that the agent carries out itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payment {
    /// The amount as text, so that no number format can round it: `149.90`.
    pub amount: String,
    /// ISO 4217, three capitals.
    pub currency: String,
    /// Who is paid.
    pub payee: String,
    /// What for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

impl Deployment {
    pub(super) fn checked(self) -> Result<Self, String> {
        line("service", &self.service)?;
        line("version", &self.version)?;
        maybe_line("environment", self.environment.as_deref())?;
        Ok(self)
    }

    pub(super) fn rows(&self) -> Rows {
        let mut rows = vec![row("Service", &self.service), row("Version", &self.version)];
        rows.extend(self.environment.iter().map(|text| row("Environment", text)));
        rows
    }
}

impl Payment {
    pub(super) fn checked(self) -> Result<Self, String> {
        let digits =
            |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let (whole, cents) = self.amount.split_once('.').unwrap_or((&self.amount, "0"));
        if self.amount.len() > 20 || !digits(whole) || !digits(cents) {
            return Err("`amount` must be digits, with at most one point".to_owned());
        }
        if self.currency.len() != 3 || !self.currency.bytes().all(|byte| byte.is_ascii_uppercase())
        {
            return Err("`currency` must be three capitals (ISO 4217)".to_owned());
        }
        line("payee", &self.payee)?;
        maybe_line("reference", self.reference.as_deref())?;
        Ok(self)
    }

    pub(super) fn rows(&self) -> Rows {
        let amount = format!("{} {}", self.amount, self.currency);
        let mut rows = vec![row("Amount", &amount), row("Payee", &self.payee)];
        rows.extend(self.reference.iter().map(|text| row("Reference", text)));
        rows
    }
}

pub(super) fn demonstration(members: Map<String, Value>) -> Result<Map<String, Value>, String> {
    if members.len() > 20 {
        return Err("a demonstration has at most 20 members".to_owned());
    }
    for (name, value) in &members {
        line("a member's name", name)?;
        if value.to_string().chars().count() > 1_000 {
            return Err("a member of a demonstration is longer than 1000 characters".to_owned());
        }
    }
    Ok(members)
}

pub(super) fn demonstration_rows(members: &Map<String, Value>) -> Rows {
    members
        .iter()
        .map(|(name, value)| match value {
            Value::String(text) => row(name, text),
            other => row(name, &other.to_string()),
        })
        .collect()
}
