//! Comparands and attributes with one notion of equality: `5` and `5.0` are one number, `5` and `"5"` are not equal.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::Value;

use crate::name::{Head, Name};
use crate::text_hash::TextSet;

/// A number whose equality and order are exact wherever both sides fit into an `i64`; beyond, as `f64`.
#[derive(Copy, Clone, Debug, PartialEq)]
pub(crate) enum Number {
    Integer(i64),
    /// Has a fraction, or does not fit into an `i64`. Finite: JSON has no other.
    Float(f64),
}

impl Number {
    pub(crate) fn new(number: &serde_json::Number) -> Option<Self> {
        if let Some(integer) = number.as_i64() {
            return Some(Self::Integer(integer));
        }
        // -2^63 and 2^63 are exact floats, so the comparison and the cast below are exact too.
        let bounds = i64::MIN as f64..-(i64::MIN as f64);
        let float = number.as_f64()?;
        Some(if float.fract() == 0.0 && bounds.contains(&float) {
            Self::Integer(float as i64)
        } else {
            Self::Float(float)
        })
    }

    pub(crate) fn compare(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Integer(left), Self::Integer(right)) => Some(left.cmp(&right)),
            (left, right) => left.as_f64().partial_cmp(&right.as_f64()),
        }
    }

    fn as_f64(self) -> f64 {
        match self {
            Self::Integer(integer) => integer as f64,
            Self::Float(float) => float,
        }
    }
}

/// One comparand.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Scalar {
    Boolean(bool),
    Number(Number),
    Text(Box<str>),
}

impl Scalar {
    /// `None` for null, lists and objects, which are not comparands.
    pub(crate) fn new(value: &Value) -> Option<Self> {
        match value {
            Value::Bool(boolean) => Some(Self::Boolean(*boolean)),
            Value::Number(number) => Number::new(number).map(Self::Number),
            Value::String(text) => Some(Self::Text(text.as_str().into())),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }

    pub(crate) fn equals(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Boolean(left), Value::Bool(right)) => left == right,
            (Self::Number(left), Value::Number(right)) => Number::new(right) == Some(*left),
            (Self::Text(left), Value::String(right)) => **left == **right,
            _ => false,
        }
    }
}

/// Text in lower case, character by character; borrowed when it is already.
pub(crate) fn fold_case(text: &str) -> Cow<'_, str> {
    let is_folded = |byte: u8| byte.is_ascii() && !byte.is_ascii_uppercase();
    if text.bytes().all(is_folded) {
        return Cow::Borrowed(text);
    }
    // Not `str::to_lowercase`, which looks at neighbours: a part must fold like the whole.
    Cow::Owned(text.chars().flat_map(char::to_lowercase).collect())
}

/// A list with its texts in lower case; anything else as it is.
pub(crate) fn folded(value: &Value) -> Cow<'_, Value> {
    let Value::Array(elements) = value else { return Cow::Borrowed(value) };
    let fold = |element: &Value| match element {
        Value::String(text) => Value::String(fold_case(text).into_owned()),
        // Not a comparand, whatever is in it.
        Value::Array(_) | Value::Object(_) => Value::Null,
        other => other.clone(),
    };
    Cow::Owned(elements.iter().map(fold).collect())
}

/// Comparands of which one must be equal. Text is hashed: a list of 100 000 is no slower than one of ten.
#[derive(Clone, Debug, Default)]
pub(crate) struct ScalarSet {
    /// Few texts are faster to walk than to hash.
    few_texts: Box<[Name]>,
    texts: TextSet,
    numbers: NumberSet,
    booleans: [bool; 2],
}

#[derive(Clone, Debug, Default)]
struct NumberSet {
    /// Sorted, for binary search.
    integers: Vec<i64>,
    /// Sorted by `total_cmp`.
    floats: Vec<f64>,
}

const WALKED_TEXTS_MAX: usize = 8;

impl ScalarSet {
    pub(crate) fn new(scalars: Vec<Scalar>) -> Self {
        let mut set = Self::default();
        for scalar in scalars {
            match scalar {
                Scalar::Boolean(boolean) => set.booleans[usize::from(boolean)] = true,
                Scalar::Number(Number::Integer(integer)) => set.numbers.integers.push(integer),
                Scalar::Number(Number::Float(float)) => set.numbers.floats.push(float),
                Scalar::Text(text) => {
                    set.texts.insert(text);
                }
            }
        }
        set.numbers.integers.sort_unstable();
        set.numbers.floats.sort_unstable_by(f64::total_cmp);
        if set.texts.len() <= WALKED_TEXTS_MAX {
            set.few_texts = set.texts.drain().map(Name::from).collect();
        }
        set
    }

    #[inline]
    pub(crate) fn has_text(&self, text: &str) -> bool {
        if self.texts.is_empty() {
            let head = Head::of(text);
            self.few_texts.iter().any(|member| member.is(head, text))
        } else {
            self.texts.contains(text)
        }
    }

    pub(crate) fn has(&self, value: &Value) -> bool {
        match value {
            Value::String(text) => self.has_text(text),
            Value::Bool(boolean) => self.booleans[usize::from(*boolean)],
            Value::Number(number) => match Number::new(number) {
                Some(Number::Integer(integer)) => self.numbers.integers.binary_search(&integer).is_ok(),
                Some(Number::Float(float)) => {
                    let floats = &self.numbers.floats;
                    floats.binary_search_by(|member| member.total_cmp(&float)).is_ok()
                }
                None => false,
            },
            Value::Null | Value::Array(_) | Value::Object(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn number(value: Value) -> Number {
        Number::new(value.as_number().unwrap()).unwrap()
    }

    #[test]
    fn integers_and_floats_are_one_kind_of_number() {
        assert_eq!(number(json!(5.0)), number(json!(5)));
        assert_eq!(number(json!(-0.0)), number(json!(0)));
        assert_ne!(number(json!(9007199254740993_i64)), number(json!(9007199254740992_i64)));
        assert_eq!(number(json!(5.5)).compare(number(json!(6))), Some(Ordering::Less));
        assert_eq!(number(json!(u64::MAX)).compare(number(json!(1))), Some(Ordering::Greater));
    }

    #[test]
    fn a_set_has_its_members_however_many_they_are() {
        for count in [1, WALKED_TEXTS_MAX, WALKED_TEXTS_MAX + 1, 1_000] {
            let texts = (0..count).map(|i| Scalar::Text(format!("u{i}").into()));
            let others = [json!(1), json!(2.5), json!(true)];
            let scalars = texts.chain(others.iter().filter_map(Scalar::new)).collect();
            let set = ScalarSet::new(scalars);
            for value in [json!("u0"), json!(1.0), json!(2.5), json!(true)] {
                assert!(set.has(&value), "{value} of {count}");
            }
            for value in [json!("x"), json!("1"), json!(2), json!(false), json!(null), json!([1])] {
                assert!(!set.has(&value), "{value} of {count}");
            }
        }
    }
}
