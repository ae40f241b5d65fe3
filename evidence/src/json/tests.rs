use super::*;
use proptest::prelude::*;
use serde_json::json;

fn parse(text: &str) -> Result<Value, JsonError> {
    parse_strict(text.as_bytes(), Limits::default())
}

#[test]
fn a_plain_document_is_read() {
    let expected = json!({"a": [1, -2, 1.5, "ü😀", null, true], "b": {}});
    let text = r#" {"a":[1,-2,1.5,"ü\ud83d\ude00",null,true],"b":{}} "#;
    assert_eq!(parse(text), Ok(expected));
}

#[test]
fn a_key_given_twice_is_refused_even_when_escaped_or_nested() {
    for text in [
        r#"{"a":1,"a":1}"#,
        r#"{"a":1,"\u0061":2}"#,
        r#"[{"x":{"b":1,"b":2}}]"#,
    ] {
        assert!(
            matches!(parse(text), Err(JsonError::DuplicateKey { .. })),
            "{text}"
        );
    }
    assert!(parse(r#"[{"a":1},{"a":2,"A":3}]"#).is_ok());
}

#[test]
fn text_that_is_not_clean_utf8_is_refused() {
    let limits = Limits::default();
    assert_eq!(
        parse_strict(b"\"a\xff\"", limits),
        Err(JsonError::NotUtf8 { at: 2 })
    );
    assert_eq!(
        parse_strict(b"\xef\xbb\xbf{}", limits),
        Err(JsonError::ByteOrderMark)
    );
    for text in [
        r#""\ud800""#,
        r#""\udc00""#,
        r#""\ud800\ud800""#,
        r#""\ud800x""#,
    ] {
        assert!(
            matches!(parse(text), Err(JsonError::Syntax { .. })),
            "{text}"
        );
    }
    // The same half written as three raw bytes is not UTF-8 at all.
    assert!(matches!(
        parse_strict(b"\"\xed\xa0\x80\"", limits),
        Err(JsonError::NotUtf8 { .. })
    ));
}

#[test]
fn anything_after_the_value_is_refused() {
    assert_eq!(parse("{} {}"), Err(JsonError::TrailingData));
    assert_eq!(parse("1,"), Err(JsonError::TrailingData));
    assert_eq!(parse("null\0"), Err(JsonError::TrailingData));
    assert_eq!(parse("null \n"), Ok(Value::Null));
}

#[test]
fn depth_and_length_have_limits() {
    let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    assert!(parse(&nested(32)).is_ok());
    assert_eq!(parse(&nested(33)), Err(JsonError::TooDeep { limit: 32 }));
    let objects = r#"{"a":"#.repeat(33) + "1" + &"}".repeat(33);
    assert_eq!(parse(&objects), Err(JsonError::TooDeep { limit: 32 }));
    let endless = Limits {
        depth: usize::MAX,
        ..Limits::default()
    };
    assert!(parse_strict(nested(MAX_DEPTH).as_bytes(), endless).is_ok());
    let refused = Err(JsonError::TooDeep { limit: MAX_DEPTH });
    assert_eq!(
        parse_strict(nested(MAX_DEPTH + 1).as_bytes(), endless),
        refused
    );
    assert_eq!(parse_strict(nested(100_000).as_bytes(), endless), refused);
    let short = Limits {
        bytes: 4,
        ..Limits::default()
    };
    assert!(parse_strict(b"null", short).is_ok());
    assert_eq!(
        parse_strict(b"null ", short),
        Err(JsonError::TooLong { limit: 4 })
    );
}

#[test]
fn numbers_beyond_a_double_are_refused() {
    for text in ["1e999", "-1e999", "NaN", "Infinity", "01", "+1", ".5", "1."] {
        assert!(parse(text).is_err(), "{text}");
    }
}

#[test]
fn integers_only_means_written_as_an_exact_integer() {
    let parse = |text: &str| parse_strict(text.as_bytes(), Limits::INTEGERS);
    for text in ["0", "9007199254740991", "-9007199254740991"] {
        assert!(parse(text).is_ok(), "{text}");
    }
    for text in [
        "9007199254740992",
        "-9007199254740992",
        "18446744073709551615",
        "1e400000",
        "1.0",
        "1e2",
        "-0",
        "[0.5]",
    ] {
        let refused = parse(text);
        assert!(
            matches!(
                refused,
                Err(JsonError::NotAnInteger { .. } | JsonError::Syntax { .. })
            ),
            "{text}"
        );
    }
}

#[test]
fn an_object_is_asked_for_by_name() {
    assert!(parse_strict_object(b"{\"a\":1}", Limits::default()).is_ok());
    assert_eq!(
        parse_strict_object(b"[]", Limits::default()),
        Err(JsonError::NotAnObject)
    );
}

#[test]
fn canonical_text_follows_rfc_8785() {
    // Keys sort by UTF-16 units (§3.2.3), so U+1F600 (d83d …) comes before U+FB33.
    let value = json!({"\u{fb33}": 1, "\u{1f600}": 2, "€": 3, "\r": 4, "1": 5, "ö": 6});
    let expected = "{\"\\r\":4,\"1\":5,\"ö\":6,\"€\":3,\"😀\":2,\"\u{fb33}\":1}";
    assert_eq!(String::from_utf8(canonical(&value)).unwrap(), expected);
    let numbers = json!([1.0, 1e21, 0.000001, 1e-7, -0.0, 333333333.3333333]);
    assert_eq!(
        canonical(&numbers),
        b"[1,1e+21,0.000001,1e-7,0,333333333.3333333]"
    );
    assert!(is_canonical(expected.as_bytes()));
    for text in [
        " {}",
        "{\"b\":1,\"a\":2}",
        "1.0",
        "9007199254740993",
        "\"\\u0061\"",
        "{\"a\":1,\"a\":1}",
    ] {
        assert!(!is_canonical(text.as_bytes()), "{text}");
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    scalar.prop_recursive(6, 48, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn canonical_text_reads_back_to_itself(value in any_value()) {
        let text = canonical(&value);
        prop_assert!(is_canonical(&text));
        let again = parse_strict(&text, Limits::default()).unwrap();
        prop_assert_eq!(canonical(&again), text);
    }

    #[test]
    fn what_was_made_readable_passes_the_strictest_limits(value in any_value()) {
        let limits = Limits { depth: 3, ..Limits::INTEGERS };
        prop_assert!(parse_strict(&canonical(&readable(&value, 3)), limits).is_ok());
    }

    #[test]
    fn no_bytes_make_the_parser_panic(bytes in any::<Vec<u8>>()) {
        let _ = parse_strict(&bytes, Limits::INTEGERS);
    }

    #[test]
    fn what_the_strict_parser_reads_serde_json_reads_alike(text in r#"[\[\]{}",:0-9.eE+\-a\\u ntrls]{0,24}"#) {
        if let Ok(value) = parse(&text) {
            prop_assert_eq!(value, serde_json::from_str::<Value>(&text).unwrap());
        }
    }
}
