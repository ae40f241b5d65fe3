//! Rows and bound values, the same for both databases.

use serde::{Serialize, de::DeserializeOwned};
use sqlx::Row as _;
use sqlx::postgres::{PgRow, Postgres};
use sqlx::sqlite::{Sqlite, SqliteRow};
use sqlx::{Decode, Type};

use super::Error;

/// A value bound to a placeholder. Nulls carry their type: PostgreSQL asks for it.
#[derive(Clone)]
pub enum Value {
    /// `text`
    Text(Option<String>),
    /// `bigint`
    Int(Option<i64>),
    /// `boolean`
    Bool(Option<bool>),
    /// `bytea`
    Bytes(Option<Vec<u8>>),
}

macro_rules! value_from {
    ($($from:ty => $variant:ident($convert:expr)),+ $(,)?) => { $(
        impl From<$from> for Value {
            fn from(value: $from) -> Self { Self::$variant($convert(value)) }
        }
    )+ };
}

value_from! {
    String => Text(Some),
    &String => Text(|text: &String| Some(text.clone())),
    &str => Text(|text: &str| Some(text.to_owned())),
    Option<String> => Text(|text| text),
    Option<&str> => Text(|text: Option<&str>| text.map(str::to_owned)),
    &Option<String> => Text(|text: &Option<String>| text.clone()),
    i64 => Int(Some),
    Option<i64> => Int(|number| number),
    bool => Bool(Some),
    Option<bool> => Bool(|flag| flag),
    Vec<u8> => Bytes(Some),
    &Vec<u8> => Bytes(|bytes: &Vec<u8>| Some(bytes.clone())),
    &[u8] => Bytes(|bytes: &[u8]| Some(bytes.to_vec())),
    [u8; 32] => Bytes(|bytes: [u8; 32]| Some(bytes.to_vec())),
    &[u8; 32] => Bytes(|bytes: &[u8; 32]| Some(bytes.to_vec())),
    [u8; 16] => Bytes(|bytes: [u8; 16]| Some(bytes.to_vec())),
    Option<Vec<u8>> => Bytes(|bytes| bytes),
    &Option<Vec<u8>> => Bytes(|bytes: &Option<Vec<u8>>| bytes.clone()),
}

/// JSON kept in a `text` column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl<T: Serialize> From<&Json<T>> for Value {
    fn from(json: &Json<T>) -> Self {
        // Our own types serialise: maps have text keys, numbers are finite.
        Self::Text(Some(
            serde_json::to_string(&json.0).unwrap_or_else(|_| "null".to_owned()),
        ))
    }
}

impl<T: Serialize> From<Json<T>> for Value {
    fn from(json: Json<T>) -> Self {
        Self::from(&json)
    }
}

/// One row of an answer.
pub enum Row {
    /// From SQLite.
    Sqlite(SqliteRow),
    /// From PostgreSQL.
    Postgres(PgRow),
}

impl Row {
    /// The column `name`.
    ///
    /// # Errors
    /// When there is no such column or it holds another type.
    pub fn get<T>(&self, name: &'static str) -> Result<T, Error>
    where
        T: for<'r> Decode<'r, Sqlite>
            + Type<Sqlite>
            + for<'r> Decode<'r, Postgres>
            + Type<Postgres>,
    {
        Ok(match self {
            Self::Sqlite(row) => row.try_get(name)?,
            Self::Postgres(row) => row.try_get(name)?,
        })
    }

    /// JSON kept in the text column `column` of `table`; the row is named by its `id` column.
    ///
    /// # Errors
    /// [`Error::BadRow`] when the text is not such a value.
    pub fn json<T: DeserializeOwned>(
        &self,
        table: &'static str,
        column: &'static str,
    ) -> Result<T, Error> {
        serde_json::from_str(&self.get::<String>(column)?).map_err(|_| self.bad(table, column))
    }

    /// JSON in a column that may be null.
    ///
    /// # Errors
    /// [`Error::BadRow`] when there is text that is not such a value.
    pub fn json_option<T: DeserializeOwned>(
        &self,
        table: &'static str,
        column: &'static str,
    ) -> Result<Option<T>, Error> {
        self.get::<Option<String>>(column)?
            .map(|text| serde_json::from_str(&text).map_err(|_| self.bad(table, column)))
            .transpose()
    }

    /// A word of the text column `column`, parsed; a word that no state knows is refused.
    ///
    /// # Errors
    /// [`Error::BadRow`].
    pub fn word<T: std::str::FromStr>(
        &self,
        table: &'static str,
        column: &'static str,
    ) -> Result<T, Error> {
        self.get::<String>(column)?
            .parse()
            .map_err(|_| self.bad(table, column))
    }

    /// Exactly 32 bytes.
    ///
    /// # Errors
    /// [`Error::BadRow`] for another length.
    pub fn digest(&self, table: &'static str, column: &'static str) -> Result<[u8; 32], Error> {
        self.get::<Vec<u8>>(column)?
            .try_into()
            .map_err(|_| self.bad(table, column))
    }

    /// The error for a row that no state can explain.
    pub fn bad(&self, table: &'static str, column: &'static str) -> Error {
        let id = self
            .get::<String>("id")
            .unwrap_or_else(|_| "(without id)".to_owned());
        Error::BadRow { table, column, id }
    }
}
