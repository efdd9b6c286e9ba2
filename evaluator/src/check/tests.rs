//! Operators by rows: comparand, attribute, met or not; and comparands that are refused.

use serde_json::json;

use super::*;
use crate::Context;

/// 2026-03-01T12:00:00Z
const NOON: Timestamp = Timestamp::from_micros(1_772_366_400_000_000);

fn predicate(op: Op, value: Value) -> Predicate {
    Predicate { attribute: "a".to_owned(), op, value, ignore_case: false, salt: None }
}

fn holds(predicate: &Predicate, context: &Context) -> bool {
    Check::compile(predicate).unwrap().is_met(Subject { context, now: NOON })
}

fn met(op: Op, value: Value, attribute: Value) -> bool {
    holds(&predicate(op, value), &Context::default().with("a", attribute))
}

#[test]
fn operators_compare_as_documented() {
    let rows = [
        (Op::Equals, json!("DE"), json!("DE"), true),
        (Op::Equals, json!("DE"), json!("de"), false),
        (Op::Equals, json!(5), json!(5.0), true),
        (Op::Equals, json!(5), json!("5"), false),
        (Op::Equals, json!(true), json!(true), true),
        (Op::NotEquals, json!("DE"), json!(7), true),
        (Op::In, json!(["DE", "AT", 1]), json!("AT"), true),
        (Op::In, json!(["DE", "AT", 1]), json!(1), true),
        (Op::In, json!(["DE"]), json!(["DE"]), false),
        (Op::NotIn, json!(["DE"]), json!("AT"), true),
        (Op::Contains, json!("@acme."), json!("a@acme.io"), true),
        (Op::Contains, json!("beta"), json!(["alpha", "beta"]), true),
        (Op::Contains, json!("bet"), json!(["alpha", "beta"]), false),
        (Op::Contains, json!([7, 8]), json!([1, 8]), true),
        (Op::NotContains, json!("x"), json!("abc"), true),
        (Op::StartsWith, json!(["a", "b"]), json!("bc"), true),
        (Op::StartsWith, json!("c"), json!("bc"), false),
        (Op::EndsWith, json!("c"), json!("bc"), true),
        (Op::Matches, json!("^u-\\d+$"), json!("u-42"), true),
        (Op::Matches, json!("^u-\\d+$"), json!("xu-42"), false),
        (Op::Gt, json!(5), json!(5), false),
        (Op::Gte, json!(5), json!(5.0), true),
        (Op::Lt, json!(5.5), json!(5), true),
        (Op::Lte, json!(5), json!("4"), false),
        (Op::Gt, json!("2026-01-01T00:00:00Z"), json!("2026-01-01T00:30:00+01:00"), false),
        (Op::Lt, json!("2026-01-01T00:00:00Z"), json!("2025-12-31T23:59:59Z"), true),
        (Op::Lt, json!("2026-01-01T00:00:00Z"), json!("yesterday"), false),
        (Op::Exists, json!(null), json!(false), true),
        (Op::Exists, json!(null), json!(null), false),
        (Op::NotExists, json!(null), json!(null), true),
        (Op::SemverEq, json!("1.2.3"), json!("v1.2.3+build"), true),
        (Op::SemverGt, json!("1.9.0"), json!("1.10.0"), true),
        (Op::SemverLt, json!("1.0.0"), json!("1.0.0-rc.1"), true),
        (Op::SemverGte, json!("17.4"), json!("17.4.0"), true),
        (Op::SemverLte, json!("2"), json!("1.9"), true),
        (Op::SemverLt, json!("2.0.0"), json!("one"), false),
        (Op::Lt, json!("2026-01-31"), json!("2026-01-30T23:59:59Z"), true),
        (Op::Gte, json!("2026-01-31"), json!("2026-01-31"), true),
        (Op::Gte, json!("2026-01-31T00:00:01Z"), json!("2026-01-31"), false),
        (Op::Gt, json!("2026-01-31"), json!(1_800_000_000_000_i64), false),
        (Op::HasAny, json!(["a", 7]), json!(["b", 7.0]), true),
        (Op::HasAny, json!("a"), json!(["a"]), true),
        (Op::HasAny, json!("a"), json!("a"), false),
        (Op::HasAny, json!(["a"]), json!([["a"], null, {}]), false),
        (Op::HasAll, json!(["a", 7]), json!([7, "b", "a"]), true),
        (Op::HasAll, json!(["a", 7]), json!(["a"]), false),
        (Op::HasAll, json!("a"), json!("a"), false),
        (Op::HasNone, json!(["a", "b"]), json!(["c"]), true),
        (Op::HasNone, json!(["a", "b"]), json!([]), true),
        (Op::HasNone, json!(["a", "b"]), json!(["c", "b"]), false),
        (Op::HasNone, json!(["a", "b"]), json!("a"), true),
        (Op::DaysSinceGt, json!(1), json!("2026-02-28T11:59:59Z"), true),
        (Op::DaysSinceGt, json!(1), json!("2026-02-28T12:00:00Z"), false),
        (Op::DaysSinceGte, json!(1), json!("2026-02-28T12:00:00Z"), true),
        (Op::DaysSinceLt, json!(1.5), json!("2026-02-28"), false),
        (Op::DaysSinceLte, json!(1.5), json!("2026-02-28"), true),
        (Op::DaysSinceLt, json!(0), json!("2026-03-02"), true),
        (Op::DaysSinceGte, json!(1), json!(1_772_280_000_000_i64), true),
        (Op::DaysSinceGt, json!(1), json!(1_772_280_000_000.0), false),
        (Op::DaysSinceGt, json!(0), json!(i64::MIN), false),
        (Op::DaysSinceLt, json!(0), json!(1e300), false),
        (Op::DaysSinceGt, json!(0), json!("soon"), false),
        (Op::DaysSinceGt, json!(0), json!(true), false),
        (Op::InCidr, json!("10.0.0.0/8"), json!("10.1.2.3"), true),
        (Op::InCidr, json!(["10.0.0.0/8", "2001:db8::/32"]), json!("2001:DB8::1"), true),
        (Op::InCidr, json!("10.0.0.0/8"), json!("::ffff:10.1.2.3"), true),
        (Op::InCidr, json!("10.0.0.0/8"), json!("10.1.2.3:443"), false),
        (Op::NotInCidr, json!("10.0.0.0/8"), json!("10.1.2.3"), false),
        (Op::NotInCidr, json!("10.0.0.0/8"), json!("not an address"), true),
    ];
    for (op, value, attribute, expected) in rows {
        let shown = format!("{attribute} {op} {value}");
        assert_eq!(met(op, value, attribute), expected, "{shown}");
    }
}

#[test]
fn an_absent_attribute_meets_only_the_negated_operators() {
    for (op, value, expected) in [
        (Op::Equals, json!("x"), false),
        (Op::NotEquals, json!("x"), true),
        (Op::In, json!(["x"]), false),
        (Op::NotIn, json!(["x"]), true),
        (Op::NotContains, json!("x"), true),
        (Op::Gte, json!(0), false),
        (Op::Exists, json!(null), false),
        (Op::NotExists, json!(null), true),
        (Op::HasAny, json!("x"), false),
        (Op::HasAll, json!("x"), false),
        (Op::HasNone, json!("x"), true),
        (Op::DaysSinceLt, json!(1), false),
        (Op::InCidr, json!("::/0"), false),
        (Op::NotInCidr, json!("::/0"), true),
    ] {
        assert_eq!(holds(&predicate(op, value), &Context::default()), expected, "{op}");
    }
}

#[test]
fn the_targeting_key_is_an_attribute() {
    let key = Predicate { attribute: "targetingKey".to_owned(), ..predicate(Op::StartsWith, json!("qa-")) };
    assert!(holds(&key, &Context::user("qa-1")));
    assert!(holds(&key, &Context::default().with("targetingKey", "qa-1")));
    assert!(!holds(&key, &Context::user("u-1").with("targetingKey", "qa-1")));
}

#[test]
fn unusable_comparands_are_refused_with_a_reason() {
    for (op, value, part) in [
        (Op::Equals, json!(null), "needs text, a number"),
        (Op::In, json!("DE"), "needs a list"),
        (Op::In, json!([]), "not empty"),
        (Op::In, json!([["DE"]]), "needs a list"),
        (Op::StartsWith, json!(5), "needs text"),
        (Op::Matches, json!("("), "not a usable regular expression"),
        (Op::Matches, json!("(a{1000}){1000}"), "not a usable regular expression"),
        (Op::Gt, json!("5"), "needs a number, or an RFC 3339 time"),
        (Op::SemverGt, json!("1.2.3.4"), "needs a semantic version"),
        (Op::SemverGt, json!(1), "needs a semantic version"),
        (Op::Exists, json!(true), "takes no value"),
        (Op::HasAny, json!({}), "needs text, a number"),
        (Op::HasAll, json!(vec![1; 65]), "at most 64 values"),
        (Op::DaysSinceGt, json!("30"), "needs a number of days"),
        (Op::InCidr, json!("10.0.0.0/40"), "(`10.0.0.0/40` is none)"),
        (Op::InCidr, json!(["10.0.0.0/8", 7]), "needs a network"),
        (Op::InCidr, json!([]), "needs a network"),
    ] {
        let refusal = Check::compile(&predicate(op, value)).unwrap_err();
        assert!(refusal.field == "value" && refusal.message.contains(part), "{refusal:?}");
    }
}

#[test]
fn case_is_ignored_when_told() {
    for (op, value, attribute, expected) in [
        (Op::Equals, json!("De"), json!("dE"), true),
        (Op::Equals, json!("straße"), json!("STRASSE"), false),
        (Op::Equals, json!("ÄRGER"), json!("ärger"), true),
        (Op::Equals, json!(5), json!(5), true),
        (Op::NotEquals, json!("DE"), json!("de"), false),
        (Op::In, json!(["FR", "DE"]), json!("de"), true),
        (Op::NotIn, json!(["FR", "DE"]), json!("de"), false),
        (Op::Contains, json!("@ACME."), json!("a@Acme.io"), true),
        (Op::Contains, json!("ΟΔΟΣ"), json!("οδοσα"), true),
        (Op::Contains, json!("Beta"), json!(["ALPHA", "BETA"]), true),
        (Op::HasAll, json!(["Beta", 7]), json!([7, "BETA", {"X": "Y"}]), true),
        (Op::HasNone, json!(["Beta"]), json!(["BETA"]), false),
        (Op::StartsWith, json!("QA-"), json!("qa-1"), true),
        (Op::EndsWith, json!(".IO"), json!("a.Io"), true),
        (Op::Matches, json!("^u-\\d+$"), json!("U-42"), true),
    ] {
        let shown = format!("{attribute} {op} {value}");
        let told = Predicate { ignore_case: true, ..predicate(op, value) };
        assert_eq!(holds(&told, &Context::default().with("a", attribute)), expected, "{shown}");
    }
}

#[test]
fn a_percentage_is_a_share_of_the_texts_and_grows_only() {
    let percentage = |value: Value, salt: &str| {
        let told = Predicate { salt: Some(salt.to_owned()), ..predicate(Op::Percentage, value) };
        let check = Check::compile(&told).unwrap();
        (0..10_000)
            .map(|number| Context::default().with("a", format!("account-{number}")))
            .map(|context| check.is_met(Subject { context: &context, now: NOON }))
            .collect::<Vec<bool>>()
    };
    let count = |met: &[bool]| met.iter().filter(|met| **met).count();
    let (quarter, more) = (percentage(json!("25%"), "s"), percentage(json!(25.5), "s"));
    assert!(count(&quarter).abs_diff(2_500) < 150, "{}", count(&quarter));
    assert!(quarter.iter().zip(&more).all(|(before, after)| !before || *after) && count(&more) > count(&quarter));
    assert!(
        count(&percentage(json!("25%"), "other").iter().zip(&quarter).map(|(a, b)| *a && *b).collect::<Vec<_>>()) < 800
    );
    assert_eq!((count(&percentage(json!("0%"), "s")), count(&percentage(json!(100), "s"))), (0, 10_000));
    // Fixed for ever, like every bucket: the line is `bucket(salt + "\0condition", text)`.
    assert_eq!(bucket("s\0condition", "account-0"), 68_507);
}

#[test]
fn what_does_not_go_with_the_operator_is_refused_by_field() {
    let refused = |told: Predicate| Check::compile(&told).unwrap_err();
    let percentage = |value: Value| Predicate { salt: Some("s".to_owned()), ..predicate(Op::Percentage, value) };
    for (told, field, part) in [
        (Predicate { ignore_case: true, ..predicate(Op::Gt, json!(1)) }, "ignore_case", "does not compare text"),
        (Predicate { salt: Some("s".to_owned()), ..predicate(Op::Gt, json!(1)) }, "salt", "no use for a salt"),
        (predicate(Op::Percentage, json!("5%")), "salt", "needs a salt"),
        (Predicate { salt: Some(String::new()), ..percentage(json!("5%")) }, "salt", "not empty"),
        (Predicate { salt: Some("\0".to_owned()), ..percentage(json!("5%")) }, "salt", "no NUL"),
        (percentage(json!("101%")), "value", "is not a share"),
        (percentage(json!(-1)), "value", "is not a share"),
        (percentage(json!(null)), "value", "is not a share"),
    ] {
        let refusal = refused(told);
        assert!(refusal.field == field && refusal.message.contains(part), "{refusal:?}");
    }
}
