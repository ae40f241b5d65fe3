//! JSON as a security boundary needs it: one text, one meaning.
//!
//! Common parsers keep the last of two equal keys, replace broken characters and round big numbers, each in its own
//! way; what a checker read is then not what a provider reads. [`parse_strict`] refuses every such text. [`canonical`]
//! gives the one text of a value (RFC 8785), which is what gets hashed and signed.

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::cell::Cell;
use std::fmt;

/// The largest integer that every JSON implementation keeps exactly: 2⁵³−1 (RFC 7493 §2.2).
pub const MAX_SAFE_INTEGER: i64 = (1 << 53) - 1;

/// The deepest nesting [`parse_strict`] can allow, whatever [`Limits::depth`] says.
pub const MAX_DEPTH: usize = 126;

/// What [`parse_strict`] accepts. The default suits a request body: 32 levels, 256 KiB, any finite number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many arrays and objects may lie inside each other; `[]` has depth 1. At most [`MAX_DEPTH`].
    pub depth: usize,
    /// The longest text, in bytes.
    pub bytes: usize,
    /// Refuse every number that is not written as an integer within ±[`MAX_SAFE_INTEGER`].
    pub integers_only: bool,
}

impl Limits {
    /// The default: what a request body may be.
    pub const BODY: Limits = Limits {
        depth: 32,
        bytes: 256 * 1024,
        integers_only: false,
    };

    /// The default, but only exact integers: for bytes that will be compared, hashed or sent on.
    pub const INTEGERS: Limits = Limits {
        integers_only: true,
        ..Limits::BODY
    };
}

impl Default for Limits {
    fn default() -> Self {
        Limits::BODY
    }
}

/// Why a text was refused. No variant carries any of the text itself: it may hold a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Longer than [`Limits::bytes`].
    #[error("JSON text is longer than {limit} bytes")]
    TooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// Starts with U+FEFF, which RFC 8259 §8.1 forbids senders to add.
    #[error("JSON text starts with a byte order mark")]
    ByteOrderMark,
    /// Not UTF-8 from this byte on.
    #[error("JSON text is not UTF-8 at byte {at}")]
    NotUtf8 {
        /// Offset of the first wrong byte.
        at: usize,
    },
    /// Nested deeper than [`Limits::depth`].
    #[error("JSON text is nested deeper than {limit} levels")]
    TooDeep {
        /// The limit in levels.
        limit: usize,
    },
    /// The same key twice in one object (RFC 8259 §4 leaves the meaning open).
    #[error("JSON object has the same key twice, at line {line} column {column}")]
    DuplicateKey {
        /// Line, from 1.
        line: usize,
        /// Column in bytes, from 1.
        column: usize,
    },
    /// A number that is no integer within ±(2⁵³−1), where only those are accepted.
    #[error("JSON number is not an integer within ±(2^53-1), at line {line} column {column}")]
    NotAnInteger {
        /// Line, from 1.
        line: usize,
        /// Column in bytes, from 1.
        column: usize,
    },
    /// More text after the value.
    #[error("JSON text goes on after its end")]
    TrailingData,
    /// Not JSON (RFC 8259), a number beyond every float, or a surrogate without its other half.
    #[error("not valid JSON at line {line} column {column}")]
    Syntax {
        /// Line, from 1.
        line: usize,
        /// Column in bytes, from 1.
        column: usize,
    },
    /// Valid, but not an object where one was asked for.
    #[error("JSON value is not an object")]
    NotAnObject,
}

/// Parses one JSON value and refuses every text that two parsers could read differently: duplicate keys, invalid
/// UTF-8, a byte order mark, lone surrogates, trailing data, nesting or length over the limit, numbers beyond a double
/// and, with [`Limits::integers_only`], numbers that are not exact integers.
pub fn parse_strict(bytes: &[u8], limits: Limits) -> Result<Value, JsonError> {
    if bytes.len() > limits.bytes {
        return Err(JsonError::TooLong {
            limit: limits.bytes,
        });
    }
    if bytes.starts_with(b"\xef\xbb\xbf") {
        return Err(JsonError::ByteOrderMark);
    }
    let text = std::str::from_utf8(bytes).map_err(|error| JsonError::NotUtf8 {
        at: error.valid_up_to(),
    })?;
    let depth = limits.depth.min(MAX_DEPTH);
    let refusal = Cell::new(None);
    let strict = Strict {
        levels_left: depth,
        integers_only: limits.integers_only,
        refusal: &refusal,
    };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = strict.deserialize(&mut deserializer).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        match refusal.get() {
            Some(Refusal::TooDeep) => JsonError::TooDeep { limit: depth },
            Some(Refusal::DuplicateKey) => JsonError::DuplicateKey { line, column },
            Some(Refusal::NotAnInteger) => JsonError::NotAnInteger { line, column },
            None => JsonError::Syntax { line, column },
        }
    })?;
    deserializer.end().map_err(|_| JsonError::TrailingData)?;
    Ok(value)
}

/// Like [`parse_strict`], for a text that must be an object.
pub fn parse_strict_object(bytes: &[u8], limits: Limits) -> Result<Map<String, Value>, JsonError> {
    match parse_strict(bytes, limits)? {
        Value::Object(members) => Ok(members),
        _ => Err(JsonError::NotAnObject),
    }
}

/// The canonical text of a value (RFC 8785): no spaces, keys in UTF-16 order, numbers as ECMAScript prints a double.
/// Integers beyond ±(2⁵³−1) lose digits by that rule.
#[must_use]
pub fn canonical(value: &Value) -> Vec<u8> {
    serde_json_canonicalizer::to_vec(value)
        .expect("a Value has only finite numbers and distinct text keys, the two things the writer can fail on")
}

/// Whether `bytes` are exactly what [`canonical`] would write for the value they stand for.
#[must_use]
pub fn is_canonical(bytes: &[u8]) -> bool {
    let limits = Limits {
        depth: MAX_DEPTH,
        bytes: usize::MAX,
        integers_only: false,
    };
    parse_strict(bytes, limits).is_ok_and(|value| canonical(&value) == bytes)
}

/// The same value in a form that any strict reader accepts: numbers that are no exact integers become their text, and
/// what lies deeper than `levels` becomes its canonical text. Writers of evidence use it, because an entry that cannot
/// be read back would be worse than one with a number in quotes.
pub(crate) fn readable(value: &Value, levels: usize) -> Value {
    match value {
        Value::Number(number) if !is_safe_integer(number) => Value::String(number.to_string()),
        Value::Array(_) | Value::Object(_) if levels == 0 => {
            Value::String(String::from_utf8_lossy(&canonical(value)).into_owned())
        }
        Value::Array(items) => items
            .iter()
            .map(|item| readable(item, levels - 1))
            .collect(),
        Value::Object(members) => members
            .iter()
            .map(|(key, member)| (key.clone(), readable(member, levels - 1)))
            .collect(),
        _ => value.clone(),
    }
}

fn is_safe_integer(number: &Number) -> bool {
    number
        .as_i64()
        .is_some_and(|integer| integer.unsigned_abs() <= MAX_SAFE_INTEGER.unsigned_abs())
}

#[derive(Clone, Copy)]
enum Refusal {
    TooDeep,
    DuplicateKey,
    NotAnInteger,
}

/// Builds a `Value` like serde_json does, and notes why it stopped; serde_json's own error type has no room for that.
#[derive(Clone, Copy)]
struct Strict<'a> {
    levels_left: usize,
    integers_only: bool,
    refusal: &'a Cell<Option<Refusal>>,
}

impl Strict<'_> {
    fn refuse<E: serde::de::Error>(self, refusal: Refusal) -> E {
        self.refusal.set(Some(refusal));
        E::custom("refused")
    }

    fn inside<E: serde::de::Error>(self) -> Result<Self, E> {
        match self.levels_left.checked_sub(1) {
            Some(levels_left) => Ok(Strict {
                levels_left,
                ..self
            }),
            None => Err(self.refuse(Refusal::TooDeep)),
        }
    }

    fn number<E: serde::de::Error>(self, number: Number) -> Result<Value, E> {
        if self.integers_only && !is_safe_integer(&number) {
            return Err(self.refuse(Refusal::NotAnInteger));
        }
        Ok(Value::Number(number))
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Value, E> {
        self.number(value.into())
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        self.number(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("not finite"))?;
        self.number(number)
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inside = self.inside()?;
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(inside)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inside = self.inside()?;
        let mut object = Map::new();
        while let Some(key) = members.next_key::<String>()? {
            if object.contains_key(&key) {
                return Err(self.refuse(Refusal::DuplicateKey));
            }
            object.insert(key, members.next_value_seed(inside)?);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
