//! Forgetting a person without breaking the tree.

use super::{Error, Event, Kind};
use crate::Engine;

/// Erases the personal data in all events about a person: values and salts go,
/// the commitments in the leaves stay and can no longer be matched to anything.
/// Ids stay too; they name nobody once the person's own row is gone. Answers how
/// many values were erased.
///
/// # Errors
/// The database's.
pub async fn erase(engine: &Engine, person: &str) -> Result<u64, Error> {
    let person = person.to_owned();
    engine
        .store
        .write(move |tx| {
            let person = person.clone();
            Box::pin(async move {
                let erased = tx.audit_erase(&person).await?;
                tx.record(
                    Event::new(Kind::PersonalDataErased)
                        .person(person)
                        .data("values", erased),
                );
                Ok(erased)
            })
        })
        .await
}
