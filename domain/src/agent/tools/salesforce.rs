//! Salesforce.

use http::Method;

use super::{Refused, SALESFORCE, array, form, members, request, table, text};
use crate::agent::runs::Answer;
use crate::vault::proxy::{ProxyAnswer, ProxyRequest};

pub(in crate::agent) fn list_opportunities() -> ProxyRequest {
    let query = "SELECT Id, Name, StageName, Amount, CloseDate FROM Opportunity WHERE IsClosed = false ORDER BY CloseDate LIMIT 50";
    let path = format!("/services/data/v62.0/query?{}", form(&[("q", query)]));
    request(SALESFORCE, Method::GET, path, None)
}

pub(in crate::agent) fn opportunities(answer: &ProxyAnswer) -> Result<Answer, Refused> {
    let members = members("Salesforce", answer)?;
    let rows: Vec<Vec<String>> = array(&members, "records")
        .iter()
        .map(|record| {
            let amount = record.get("Amount").filter(|amount| !amount.is_null());
            vec![
                text(record, "/Name"),
                text(record, "/StageName"),
                amount.map(ToString::to_string).unwrap_or_default(),
                text(record, "/CloseDate"),
            ]
        })
        .collect();
    if rows.is_empty() {
        return Ok(Answer::text("You have no open opportunities."));
    }
    Ok(table(
        "Your open opportunities",
        &["Name", "Stage", "Amount", "Close date"],
        rows,
    ))
}
