//! `salesforce_update`: fields of one record (`PATCH` on sObject Rows,
//! <https://developer.salesforce.com/docs/platform/api-rest/guide/dome-update-fields.html>).

use evidence::json::{Limits, canonical, is_canonical, parse_strict_object};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::checks::{line, text};
use super::{ExactCall, Rows, json_body, row};

/// How many fields one update may have: a person must be able to read them.
const MOST_FIELDS: usize = 50;
const MOST_TEXT: usize = 4_000;

/// One update: `{"type":"salesforce_update","connection":"salesforce","object":"Opportunity","id":"006…","fields":{"StageName":"Closed Won"}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SalesforceUpdate {
    /// The connection, by name.
    pub connection: String,
    /// The API name of the object (`Opportunity`, `Invoice__c`).
    pub object: String,
    /// The record's id, of 15 or 18 letters and digits.
    pub id: String,
    /// The fields' API names and what they become: text, whole numbers, `true`,
    /// `false`, or `null` to empty one.
    pub fields: Map<String, Value>,
    /// The version of the API.
    #[serde(default = "version")]
    pub api_version: String,
}

fn version() -> String {
    "v62.0".to_owned()
}

fn is_name(text: &str) -> bool {
    (1..=80).contains(&text.len())
        && text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn is_id(text: &str) -> bool {
    matches!(text.len(), 15 | 18) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn is_version(text: &str) -> bool {
    let digits = |part: &str| {
        (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    text.strip_prefix('v')
        .and_then(|number| number.split_once('.'))
        .is_some_and(|(whole, part)| digits(whole) && digits(part))
}

impl SalesforceUpdate {
    pub(super) fn checked(self) -> Result<Self, String> {
        line("connection", &self.connection)?;
        if !is_name(&self.object) {
            return Err("`object` is not the API name of an object".to_owned());
        }
        if !is_id(&self.id) {
            return Err("`id` is not a record's id".to_owned());
        }
        if !is_version(&self.api_version) {
            return Err("`api_version` must be of the form v62.0".to_owned());
        }
        if self.fields.is_empty() || self.fields.len() > MOST_FIELDS {
            return Err(format!("`fields` must be 1 to {MOST_FIELDS}"));
        }
        // Salesforce reads names in any case.
        let mut names: Vec<_> = self
            .fields
            .keys()
            .map(|name| name.to_ascii_lowercase())
            .collect();
        names.sort_unstable();
        if names.windows(2).any(|two| two[0] == two[1]) {
            return Err("`fields` has the same field twice".to_owned());
        }
        for (name, value) in &self.fields {
            if !is_name(name) {
                return Err("`fields` has what is not the API name of a field".to_owned());
            }
            match value {
                Value::String(value) if value.is_empty() => {
                    return Err("a field is emptied by null".to_owned());
                }
                Value::String(value) => text("fields", value, MOST_TEXT)?,
                Value::Number(_) | Value::Bool(_) | Value::Null => {}
                Value::Array(_) | Value::Object(_) => {
                    return Err("`fields` may not hold lists or objects".to_owned());
                }
            }
        }
        Ok(self)
    }

    /// The exact call: a pure function of the details and the account.
    #[must_use]
    pub fn call(&self, account_id: &str) -> ExactCall {
        ExactCall {
            account_id: account_id.to_owned(),
            connection: self.connection.clone(),
            host: None,
            method: "PATCH".to_owned(),
            path_and_query: format!(
                "/services/data/{}/sobjects/{}/{}",
                self.api_version, self.object, self.id
            ),
            headers: json_body(),
            body: canonical(&Value::Object(self.fields.clone())),
        }
    }
}

/// Reads an update back from the call's own bytes.
pub(super) fn read_back(call: &ExactCall) -> Option<Rows> {
    let rest = call.path_and_query.strip_prefix("/services/data/")?;
    let [version, "sobjects", object, id] = rest.split('/').collect::<Vec<_>>()[..] else {
        return None;
    };
    if call.method != "PATCH" || !is_version(version) || !is_name(object) || !is_id(id) {
        return None;
    }
    let fields = parse_strict_object(&call.body, Limits::INTEGERS)
        .ok()
        .filter(|_| is_canonical(&call.body))?;
    let mut rows = vec![row("Record", &format!("{object} {id}"))];
    for (name, value) in fields {
        let value = match value {
            Value::Null => "(emptied)".to_owned(),
            // So that `true` and `"true"` do not look the same.
            Value::Bool(_) | Value::Number(_) => value.to_string(),
            Value::String(text) => format!("“{text}”"),
            Value::Array(_) | Value::Object(_) => return None,
        };
        rows.push(row(&name, &value));
    }
    Some(rows)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::approval::types::{Details, parse};

    fn read(change: Value) -> Result<SalesforceUpdate, String> {
        let mut entry = json!({
            "type": "salesforce_update", "connection": "salesforce", "object": "Opportunity",
            "id": "006000000000001AAA", "fields": {"StageName": "Closed Won"},
        });
        for (name, value) in change.as_object().unwrap() {
            entry[name] = value.clone();
        }
        match parse(&json!([entry]))?.remove(0) {
            Details::SalesforceUpdate(update) => Ok(update),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_update_compiles_to_canonical_bytes_and_is_read_back_from_them() {
        let update = read(json!({"fields": {"StageName": "Closed Won", "Amount": 1500, "IsPrivate": false, "NextStep": null}})).unwrap();
        let call = update.call("acc_1");
        assert_eq!(
            (call.method.as_str(), call.path_and_query.as_str()),
            (
                "PATCH",
                "/services/data/v62.0/sobjects/Opportunity/006000000000001AAA"
            )
        );
        assert_eq!(
            call.body,
            br#"{"Amount":1500,"IsPrivate":false,"NextStep":null,"StageName":"Closed Won"}"#
        );
        assert_eq!(
            read_back(&call).unwrap(),
            [
                row("Record", "Opportunity 006000000000001AAA"),
                row("Amount", "1500"),
                row("IsPrivate", "false"),
                row("NextStep", "(emptied)"),
                row("StageName", "“Closed Won”"),
            ]
        );
    }

    #[test]
    fn what_is_no_update_is_refused() {
        for bad in [
            json!({"object": "Opportunity/006"}),
            json!({"object": ""}),
            json!({"object": "1st"}),
            json!({"id": "006"}),
            json!({"id": "00600000000000/"}),
            json!({"api_version": "v62.0/../x"}),
            json!({"api_version": "62"}),
            json!({"fields": {}}),
            json!({"fields": {"Amount": 1.5}}),
            json!({"fields": {"Amount": ""}}),
            json!({"fields": {"Stage Name": "x"}}),
            json!({"fields": {"Amount": 1, "amount": 2}}),
            json!({"fields": {"Owner": {"Id": "x"}}}),
            json!({"fields": {"attributes": ["x"]}}),
            json!({"fields": {"Name": "a\u{0}"}}),
            json!({"fields": "x"}),
        ] {
            let text = bad.to_string();
            let read = crate::approval::types::from_text(&text).and_then(read);
            assert!(read.is_err(), "{bad}");
        }
    }
}
