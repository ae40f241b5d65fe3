//! The REST API of an instance: queries and opportunities.

use axum::Json;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Map, Value, json};
use time::macros::format_description;
use time::{Date, Duration, OffsetDateTime};

use super::{caller, refused, soql};
use crate::store::Shared;
use crate::wire::Ask;

const SCOPES: [&str; 2] = ["api", "full"];

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route(
            "/salesforce/instance/services/data/{version}/query",
            get(query),
        )
        .route(
            "/salesforce/instance/services/data/{version}/query/",
            get(query),
        )
        .route(
            "/salesforce/instance/services/data/{version}/sobjects/Opportunity/{id}",
            get(one).patch(change),
        )
}

/// Names of an opportunity's fields, as they are spelt.
pub(super) const FIELDS: [&str; 9] = [
    "Id",
    "Name",
    "StageName",
    "Amount",
    "CloseDate",
    "Probability",
    "IsClosed",
    "IsWon",
    "Description",
];

/// What the org knows.
pub(crate) struct Org {
    opportunities: Vec<Map<String, Value>>,
}

impl Org {
    pub fn seeded(now: i64) -> Org {
        let today = OffsetDateTime::from_unix_timestamp(now.div_euclid(1000))
            .map_or(OffsetDateTime::UNIX_EPOCH.date(), OffsetDateTime::date);
        let seeds = [
            ("Northwind – 400 seats", "Negotiation/Review", 96_000.0, 12),
            ("Contoso renewal", "Proposal/Price Quote", 42_500.0, 25),
            ("Fabrikam pilot", "Prospecting", 8_000.0, 60),
            ("Initech support plan", "Qualification", 15_750.0, 40),
            ("Globex migration", "Closed Won", 120_000.0, -20),
            ("Umbrella trial", "Closed Lost", 5_000.0, -45),
        ];
        let opportunities =
            seeds
                .into_iter()
                .enumerate()
                .map(|(index, (name, stage, amount, days))| {
                    let close = today.checked_add(Duration::days(days)).unwrap_or(today);
                    let mut fields = Map::new();
                    fields.insert("Id".into(), format!("006{:012}AAA", index + 1).into());
                    fields.insert("Name".into(), name.into());
                    fields.insert("Amount".into(), amount.into());
                    fields.insert("CloseDate".into(), written(close).into());
                    fields.insert("Description".into(), Value::Null);
                    set_stage(&mut fields, stage);
                    fields
                });
        Org {
            opportunities: opportunities.collect(),
        }
    }
}

fn written(date: Date) -> String {
    date.format(format_description!("[year]-[month]-[day]"))
        .unwrap_or_default()
}

fn is_date(text: &str) -> bool {
    Date::parse(text, format_description!("[year]-[month]-[day]")).is_ok()
}

/// Stage, and what follows from it.
fn set_stage(fields: &mut Map<String, Value>, stage: &str) {
    let (probability, closed, won) = match stage {
        "Prospecting" => (10, false, false),
        "Qualification" => (20, false, false),
        "Proposal/Price Quote" => (60, false, false),
        "Negotiation/Review" => (80, false, false),
        "Closed Won" => (100, true, true),
        "Closed Lost" => (0, true, false),
        _ => (50, false, false),
    };
    fields.insert("StageName".into(), stage.into());
    fields.insert("Probability".into(), probability.into());
    fields.insert("IsClosed".into(), closed.into());
    fields.insert("IsWon".into(), won.into());
}

fn attributes(version: &str, fields: &Map<String, Value>) -> Value {
    let id = fields["Id"].as_str().unwrap_or_default();
    json!({
        "type": "Opportunity",
        "url": format!("/services/data/{version}/sobjects/Opportunity/{id}"),
    })
}

async fn query(
    State(inner): State<Shared>,
    Path(version): Path<String>,
    ask: Ask,
) -> Result<Response, Response> {
    let bearer = caller(&inner, &ask, &SCOPES)?;
    let malformed = |why: &str| refused(StatusCode::BAD_REQUEST, "MALFORMED_QUERY", why);
    let text = ask
        .query
        .get("q")
        .ok_or_else(|| malformed("a query is missing"))?;
    let query = soql::parse(text).map_err(|why| match why {
        soql::Wrong::Malformed(why) => malformed(&why),
        soql::Wrong::NoSuchField(field) => {
            let why = format!("No such column '{field}' on entity 'Opportunity'.");
            refused(StatusCode::BAD_REQUEST, "INVALID_FIELD", &why)
        }
        soql::Wrong::NoSuchType(name) => {
            let why = format!("sObject type '{name}' is not supported.");
            refused(StatusCode::BAD_REQUEST, "INVALID_TYPE", &why)
        }
    })?;
    let state = inner.state();
    let visible = inner.people[bearer.family.person].has_data;
    let all = state.salesforce.opportunities.iter().filter(|_| visible);
    let records: Vec<Value> = query
        .run(all)
        .into_iter()
        .map(|row| {
            let mut record = Map::new();
            record.insert("attributes".into(), attributes(&version, row));
            for field in &query.fields {
                record.insert((*field).into(), row[*field].clone());
            }
            Value::Object(record)
        })
        .collect();
    let answer = json!({ "totalSize": records.len(), "done": true, "records": records });
    Ok(Json(answer).into_response())
}

fn missing() -> Response {
    refused(
        StatusCode::NOT_FOUND,
        "NOT_FOUND",
        "The requested resource does not exist",
    )
}

/// Ids come with 15 or 18 characters.
fn same_id(fields: &Map<String, Value>, wanted: &str) -> bool {
    let id = fields["Id"].as_str().unwrap_or_default();
    id == wanted || id.get(..15) == Some(wanted)
}

async fn one(
    State(inner): State<Shared>,
    Path((version, id)): Path<(String, String)>,
    ask: Ask,
) -> Result<Response, Response> {
    let bearer = caller(&inner, &ask, &SCOPES)?;
    if !inner.people[bearer.family.person].has_data {
        return Err(missing());
    }
    let state = inner.state();
    let found = state
        .salesforce
        .opportunities
        .iter()
        .find(|fields| same_id(fields, &id));
    let found = found.ok_or_else(missing)?;
    let mut record = Map::new();
    record.insert("attributes".into(), attributes(&version, found));
    record.extend(found.clone());
    Ok(Json(record).into_response())
}

async fn change(
    State(inner): State<Shared>,
    Path((_, id)): Path<(String, String)>,
    ask: Ask,
) -> Result<Response, Response> {
    let bearer = caller(&inner, &ask, &SCOPES)?;
    if !inner.people[bearer.family.person].has_data {
        return Err(missing());
    }
    let wrong = |code: &str, why: String| refused(StatusCode::BAD_REQUEST, code, &why);
    let Some(Value::Object(changes)) = ask.json() else {
        return Err(wrong(
            "JSON_PARSER_ERROR",
            "The body is not a JSON object".into(),
        ));
    };
    for (name, value) in &changes {
        let fits = match name.as_str() {
            "Name" | "StageName" => value.as_str().is_some_and(|text| !text.is_empty()),
            "Description" => value.is_string() || value.is_null(),
            "Amount" => value.is_number() || value.is_null(),
            "CloseDate" => value.as_str().is_some_and(is_date),
            "Id" | "IsClosed" | "IsWon" | "Probability" => {
                let why = format!("Unable to create/update fields: {name}");
                return Err(wrong("INVALID_FIELD_FOR_INSERT_UPDATE", why));
            }
            _ => {
                let why = format!("No such column '{name}' on sobject of type Opportunity");
                return Err(wrong("INVALID_FIELD", why));
            }
        };
        if !fits {
            return Err(wrong(
                "JSON_PARSER_ERROR",
                format!("The value of {name} does not fit"),
            ));
        }
    }
    let mut state = inner.state();
    let found = state
        .salesforce
        .opportunities
        .iter_mut()
        .find(|fields| same_id(fields, &id));
    let found = found.ok_or_else(missing)?;
    for (name, value) in changes {
        match value.as_str() {
            Some(stage) if name == "StageName" => set_stage(found, stage),
            _ => {
                found.insert(name, value);
            }
        }
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}
