//! Policies that admins add and remove.

use app::api::policies::past_words;
use app::context::FormState;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use domain::approval::policies::{
    self, Approvers, CoveredCalls, Demands, NewPolicy, Policy, PolicyError, Rule,
};

use domain::identity;

use super::sign_in::sentence;
use super::{Posted, see};
use crate::door::Door;
use crate::pages::Extras;
use crate::session::Admin;

const PAGE: &str = "/admin/policies";

/// `POST /admin/policies/approving`: `name`, `client`, `details_type`,
/// `passkey`, `match_number`, `forbidden`, `approvers` (addresses), `needed`;
/// `do` is `add` or `try`.
pub async fn approving(State(door): State<Door>, Admin(admin): Admin, posted: Posted) -> Response {
    let Ok(passkey) = posted.get("passkey").parse() else {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        return posted
            .again(&door, PAGE, status, "passkey", "Choose one of these.")
            .await;
    };
    let approvers = match approvers(&door, &posted).await {
        Ok(approvers) => approvers,
        Err(refused) => return refused,
    };
    let new = NewPolicy {
        name: posted.get("name").to_owned(),
        client_id: posted.some("client").map(str::to_owned),
        rule: Rule::Approving {
            details_type: posted.some("details_type").map(str::to_owned),
            demands: Demands {
                passkey,
                match_number: posted.some("match_number").is_some(),
                forbidden: posted.some("forbidden").is_some(),
                approvers,
            },
        },
    };
    take(&door, &admin.person.id, &posted, new).await
}

/// Who approves, by their addresses.
async fn approvers(door: &Door, posted: &Posted) -> Result<Vec<Approvers>, Response> {
    let addresses = posted.words("approvers");
    if addresses.is_empty() {
        return Ok(Vec::new());
    }
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    let mut people = Vec::new();
    for address in addresses {
        match identity::person_by_email(&door.engine, &address).await {
            Ok(Some(person)) => people.push(person.id),
            Ok(None) => {
                let words = format!("There is nobody with the address {address}.");
                return Err(posted.again(door, PAGE, status, "approvers", words).await);
            }
            Err(error) => return Err(posted.failed(door, PAGE, error).await),
        }
    }
    let Ok(needed) = posted.some("needed").unwrap_or("1").parse() else {
        let words = "Give a number.";
        return Err(posted.again(door, PAGE, status, "needed", words).await);
    };
    Ok(vec![Approvers { needed, people }])
}

/// `POST /admin/policies/calling`: `call_name`, `call_client`, `connection`,
/// `methods`, `path`; `do` is `add` or `try`.
pub async fn calling(State(door): State<Door>, Admin(admin): Admin, posted: Posted) -> Response {
    let new = NewPolicy {
        name: posted.get("call_name").to_owned(),
        client_id: posted.some("call_client").map(str::to_owned),
        rule: Rule::Calling(CoveredCalls {
            connection: posted.get("connection").to_owned(),
            methods: posted.words("methods"),
            path: posted.get("path").to_owned(),
        }),
    };
    take(&door, &admin.person.id, &posted, new).await
}

async fn take(door: &Door, admin: &str, posted: &Posted, new: NewPolicy) -> Response {
    if posted.get("do") == "try" {
        return tried(door, posted, new).await;
    }
    match policies::add(&door.engine, admin, new).await {
        Ok(_) => see(PAGE),
        Err(error) => refused(door, posted, error).await,
    }
}

/// Nothing is added: the page again, with what it would have meant of late.
async fn tried(door: &Door, posted: &Posted, new: NewPolicy) -> Response {
    let policy = match new.checked() {
        Ok(new) => Policy {
            id: String::new(),
            name: new.name,
            client_id: new.client_id,
            rule: new.rule,
            created_at: 0,
        },
        Err(error) => return refused(door, posted, error).await,
    };
    let past = match policies::past(&door.engine, std::slice::from_ref(&policy)).await {
        Ok(pasts) => pasts.first().copied().unwrap_or_default(),
        Err(error) => return posted.failed(door, PAGE, error).await,
    };
    let form = FormState {
        values: posted.kept(),
        errors: Vec::new(),
        notice: Some(past_words(&policy.rule, past)),
        status: StatusCode::OK.as_u16(),
    };
    let extras = Extras {
        form,
        ..Extras::default()
    };
    posted.page(door, PAGE, extras).await
}

/// `POST /admin/policies/{id}/remove`.
pub async fn remove(
    State(door): State<Door>,
    Admin(admin): Admin,
    Path(id): Path<String>,
    posted: Posted,
) -> Response {
    match policies::remove(&door.engine, &admin.person.id, &id).await {
        Ok(_) => see(PAGE),
        Err(error) => refused(&door, &posted, error).await,
    }
}

async fn refused(door: &Door, posted: &Posted, error: PolicyError) -> Response {
    let (status, field, words) = match error {
        PolicyError::Storage(error) => return posted.failed(door, PAGE, error).await,
        PolicyError::NotFound => (
            StatusCode::NOT_FOUND,
            "",
            "There is no such policy of the console.".to_owned(),
        ),
        error @ (PolicyError::TooMany | PolicyError::Changed) => {
            (StatusCode::CONFLICT, "", sentence(&error))
        }
        PolicyError::Invalid(field, _) => {
            let (field, words) = words(field, posted.some("call_name").is_some());
            (StatusCode::UNPROCESSABLE_ENTITY, field, words.to_owned())
        }
    };
    posted.again(door, PAGE, status, field, words).await
}

/// The form's field, and what is wrong with it.
fn words(field: &str, of_calls: bool) -> (&'static str, &'static str) {
    match (field, of_calls) {
        ("name", false) => ("name", "Give it a name of 1 to 80 plain characters."),
        ("name", true) => ("call_name", "Give it a name of 1 to 80 plain characters."),
        ("client_id", false) => ("client", "There is no such client."),
        ("client_id", true) => ("call_client", "There is no such client."),
        ("details_type", _) => ("details_type", "Choose one of these."),
        ("passkey", _) => ("passkey", "The policy asks for nothing yet."),
        ("approvers", _) => (
            "approvers",
            "Name at most 20 people, each once, who may sign in.",
        ),
        ("needed", _) => ("needed", "At least 1, and at most as many as you named."),
        ("connection", _) => ("connection", "There is no such connection."),
        ("methods", _) => (
            "methods",
            "Only GET, HEAD, POST, PUT, PATCH and DELETE pass.",
        ),
        ("path", _) => (
            "path",
            "Begin with a slash; no query, nothing encoded. A * stands for any text.",
        ),
        _ => ("", "Something here is not right."),
    }
}
