//! As much SOQL as asking for opportunities needs:
//! `SELECT f, … FROM Opportunity [WHERE f op literal [AND …]] [ORDER BY f [ASC|DESC], …] [LIMIT n]`.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::data::FIELDS;

/// Why a query is refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    Malformed(String),
    NoSuchField(String),
    NoSuchType(String),
}

#[derive(Debug)]
pub(super) struct Query {
    pub fields: Vec<&'static str>,
    conditions: Vec<(&'static str, Comparison, Value)>,
    order: Vec<(&'static str, bool)>,
    limit: Option<usize>,
}

#[derive(Clone, Copy, Debug)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    AtMost,
    More,
    AtLeast,
    Like,
}

impl Query {
    pub fn run<'a>(
        &self,
        rows: impl Iterator<Item = &'a Map<String, Value>>,
    ) -> Vec<&'a Map<String, Value>> {
        let mut found: Vec<_> = rows
            .filter(|row| {
                self.conditions
                    .iter()
                    .all(|(field, how, wanted)| holds(&row[*field], *how, wanted))
            })
            .collect();
        found.sort_by(|a, b| {
            let by = |(field, descending): &(&str, bool)| {
                let order = compared(&a[*field], &b[*field]);
                if *descending { order.reverse() } else { order }
            };
            self.order
                .iter()
                .map(by)
                .find(|order| order.is_ne())
                .unwrap_or(Ordering::Equal)
        });
        found.truncate(self.limit.unwrap_or(usize::MAX));
        found
    }
}

/// Nulls first, as Salesforce sorts; text without regard to case.
fn compared(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Less,
        (_, Value::Null) => Ordering::Greater,
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::String(a), Value::String(b)) => a.to_lowercase().cmp(&b.to_lowercase()),
        _ => match (a.as_f64(), b.as_f64()) {
            (Some(a), Some(b)) => a.total_cmp(&b),
            _ => Ordering::Equal,
        },
    }
}

fn holds(value: &Value, how: Comparison, wanted: &Value) -> bool {
    let alike = std::mem::discriminant(value) == std::mem::discriminant(wanted);
    let equal = alike && compared(value, wanted).is_eq();
    match how {
        Comparison::Equal => equal,
        Comparison::NotEqual => !equal,
        Comparison::Less => alike && compared(value, wanted).is_lt(),
        Comparison::AtMost => alike && compared(value, wanted).is_le(),
        Comparison::More => alike && compared(value, wanted).is_gt(),
        Comparison::AtLeast => alike && compared(value, wanted).is_ge(),
        Comparison::Like => match (value, wanted) {
            (Value::String(text), Value::String(pattern)) => {
                like(&text.to_lowercase(), &pattern.to_lowercase())
            }
            _ => false,
        },
    }
}

/// `%` stands for any text.
fn like(text: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('%');
    let Some(mut rest) = parts.next().and_then(|start| text.strip_prefix(start)) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(end) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(end)
}

#[derive(Clone, Debug, PartialEq)]
enum Word {
    /// A name, keyword, number or date.
    Plain(String),
    Text(String),
    Sign(String),
}

fn words(query: &str) -> Result<Vec<Word>, Wrong> {
    let mut words = Vec::new();
    let mut chars = query.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            c if c.is_whitespace() => {}
            ',' => words.push(Word::Sign(",".into())),
            '=' | '!' | '<' | '>' => {
                let mut sign = String::from(c);
                sign.extend(chars.next_if(|next| matches!(next, '=' | '>')));
                words.push(Word::Sign(sign));
            }
            '\'' => {
                let mut text = String::new();
                loop {
                    match chars.next() {
                        Some('\'') => break,
                        Some('\\') => text.extend(chars.next()),
                        Some(c) => text.push(c),
                        None => return Err(Wrong::Malformed("a text has no end".into())),
                    }
                }
                words.push(Word::Text(text));
            }
            c if c.is_alphanumeric() || "_.-+:".contains(c) => {
                let mut word = String::from(c);
                while let Some(next) =
                    chars.next_if(|c| c.is_alphanumeric() || "_.-+:".contains(*c))
                {
                    word.push(next);
                }
                words.push(Word::Plain(word));
            }
            other => return Err(Wrong::Malformed(format!("unexpected token: '{other}'"))),
        }
    }
    Ok(words)
}

struct Reader {
    words: std::iter::Peekable<std::vec::IntoIter<Word>>,
}

impl Reader {
    fn unexpected<T>(&mut self) -> Result<T, Wrong> {
        Err(Wrong::Malformed(match self.words.peek() {
            Some(Word::Plain(word) | Word::Sign(word) | Word::Text(word)) => {
                format!("unexpected token: '{word}'")
            }
            None => "unexpected end of the query".into(),
        }))
    }

    fn keyword(&mut self, keyword: &str) -> bool {
        let is =
            |word: &Word| matches!(word, Word::Plain(word) if word.eq_ignore_ascii_case(keyword));
        self.words.next_if(is).is_some()
    }

    fn expect(&mut self, keyword: &str) -> Result<(), Wrong> {
        if self.keyword(keyword) {
            Ok(())
        } else {
            self.unexpected()
        }
    }

    fn sign(&mut self, sign: &str) -> bool {
        self.words
            .next_if(|word| matches!(word, Word::Sign(found) if found == sign))
            .is_some()
    }

    fn plain(&mut self) -> Result<String, Wrong> {
        match self.words.next_if(|word| matches!(word, Word::Plain(_))) {
            Some(Word::Plain(word)) => Ok(word),
            _ => self.unexpected(),
        }
    }

    fn field(&mut self) -> Result<&'static str, Wrong> {
        let name = self.plain()?;
        let known = FIELDS
            .into_iter()
            .find(|field| field.eq_ignore_ascii_case(&name));
        known.ok_or(Wrong::NoSuchField(name))
    }

    fn comparison(&mut self) -> Result<Comparison, Wrong> {
        if self.keyword("LIKE") {
            return Ok(Comparison::Like);
        }
        let known = [
            ("=", Comparison::Equal),
            ("!=", Comparison::NotEqual),
            ("<>", Comparison::NotEqual),
            ("<=", Comparison::AtMost),
            (">=", Comparison::AtLeast),
            ("<", Comparison::Less),
            (">", Comparison::More),
        ];
        for (sign, comparison) in known {
            if self.sign(sign) {
                return Ok(comparison);
            }
        }
        self.unexpected()
    }

    fn literal(&mut self) -> Result<Value, Wrong> {
        match self.words.peek().cloned() {
            Some(Word::Text(text)) => {
                self.words.next();
                Ok(Value::String(text))
            }
            Some(Word::Plain(word)) => {
                let value = match word.to_ascii_lowercase().as_str() {
                    "true" => Value::Bool(true),
                    "false" => Value::Bool(false),
                    "null" => Value::Null,
                    other => match other.parse::<f64>() {
                        Ok(number) if number.is_finite() => number.into(),
                        // A date: 2026-01-31.
                        _ if other.len() == 10 && other.as_bytes()[4] == b'-' => {
                            Value::String(word)
                        }
                        _ => return self.unexpected(),
                    },
                };
                self.words.next();
                Ok(value)
            }
            _ => self.unexpected(),
        }
    }
}

pub(super) fn parse(query: &str) -> Result<Query, Wrong> {
    let mut reader = Reader {
        words: words(query)?.into_iter().peekable(),
    };
    reader.expect("SELECT")?;
    let mut names = vec![reader.plain()?];
    while reader.sign(",") {
        names.push(reader.plain()?);
    }
    reader.expect("FROM")?;
    let object = reader.plain()?;
    if !object.eq_ignore_ascii_case("Opportunity") {
        return Err(Wrong::NoSuchType(object));
    }
    let mut fields = Vec::new();
    for name in names {
        let known = FIELDS
            .into_iter()
            .find(|field| field.eq_ignore_ascii_case(&name));
        fields.push(known.ok_or(Wrong::NoSuchField(name))?);
    }
    let mut conditions = Vec::new();
    if reader.keyword("WHERE") {
        loop {
            conditions.push((reader.field()?, reader.comparison()?, reader.literal()?));
            if !reader.keyword("AND") {
                break;
            }
        }
    }
    let mut order = Vec::new();
    if reader.keyword("ORDER") {
        reader.expect("BY")?;
        loop {
            let field = reader.field()?;
            let descending = reader.keyword("DESC");
            if !descending {
                reader.keyword("ASC");
            }
            order.push((field, descending));
            if !reader.sign(",") {
                break;
            }
        }
    }
    let mut limit = None;
    if reader.keyword("LIMIT") {
        let number = reader.plain()?;
        let number = number
            .parse()
            .map_err(|_| Wrong::Malformed(format!("'{number}' is no limit")))?;
        limit = Some(number);
    }
    if reader.words.peek().is_some() {
        return reader.unexpected();
    }
    Ok(Query {
        fields,
        conditions,
        order,
        limit,
    })
}
