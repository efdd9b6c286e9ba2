//! For whom: a tree of conditions over attributes and segments. This is the wire form; [`crate::Ruleset`] compiles it.

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use crate::flagsmith::FlagsmithSegment;
use crate::{Error, Key, Op, Predicate};

/// A condition on a unit's context.
///
/// The wire form is a map: `{all: [..]}`, `{any: [..]}`, `{none: [..]}`, `{segment: key}` or
/// `{attribute: country, op: in, value: [DE, AT]}`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "ConditionWire")]
pub enum Condition {
    /// Every one of these; with none at all, everybody.
    All(Vec<Condition>),
    /// At least one of these; with none at all, nobody.
    Any(Vec<Condition>),
    /// Not one of these; with none at all, everybody.
    None(Vec<Condition>),
    /// The units of a segment.
    Segment(Key),
    /// A test of one attribute.
    Attribute(Predicate),
    /// `{flagsmith: {segment: "7", rules: [..]}}`: the rules of a segment as Flagsmith reads them, kept by an import.
    Flagsmith(FlagsmithSegment),
}

impl Condition {
    /// The condition that everybody meets: `{all: []}`.
    pub const fn always() -> Self {
        Self::All(Vec::new())
    }

    /// The condition that nobody meets: `{any: []}`.
    pub const fn never() -> Self {
        Self::Any(Vec::new())
    }

    /// Whether this is [`Condition::always`].
    pub fn is_always(&self) -> bool {
        matches!(self, Self::All(parts) if parts.is_empty())
    }

    /// Whether this is [`Condition::never`].
    pub fn is_never(&self) -> bool {
        matches!(self, Self::Any(parts) if parts.is_empty())
    }

    /// The keys of the segments it names, in order, repeated when it names one twice.
    pub fn segments(&self) -> Vec<&Key> {
        let mut found = Vec::new();
        let mut open = vec![self];
        while let Some(condition) = open.pop() {
            match condition {
                Self::All(parts) | Self::Any(parts) | Self::None(parts) => {
                    open.extend(parts.iter().rev());
                }
                Self::Segment(key) => found.push(key),
                Self::Attribute(_) | Self::Flagsmith(_) => {}
            }
        }
        found
    }
}

/// Everybody.
impl Default for Condition {
    fn default() -> Self {
        Self::always()
    }
}

impl Serialize for Condition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (name, parts) = match self {
            Self::Attribute(predicate) => return predicate.serialize(serializer),
            Self::Segment(key) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("segment", key)?;
                return map.end();
            }
            Self::Flagsmith(rules) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("flagsmith", rules)?;
                return map.end();
            }
            Self::All(parts) => ("all", parts),
            Self::Any(parts) => ("any", parts),
            Self::None(parts) => ("none", parts),
        };
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(name, parts)?;
        map.end()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConditionWire {
    #[serde(default)]
    all: Option<Vec<Condition>>,
    #[serde(default)]
    any: Option<Vec<Condition>>,
    #[serde(default)]
    none: Option<Vec<Condition>>,
    #[serde(default)]
    segment: Option<Key>,
    #[serde(default)]
    flagsmith: Option<FlagsmithSegment>,
    #[serde(default)]
    attribute: Option<String>,
    #[serde(default)]
    op: Option<Op>,
    #[serde(default)]
    value: Option<Value>,
    #[serde(default)]
    ignore_case: bool,
    #[serde(default)]
    salt: Option<String>,
}

impl TryFrom<ConditionWire> for Condition {
    type Error = Error;

    fn try_from(wire: ConditionWire) -> Result<Self, Error> {
        let refuse = |why: &str| Err(Error::Condition(why.to_owned()));
        let goes_with_attribute = wire.value.is_some() || wire.ignore_case || wire.salt.is_some();
        let mut forms = [
            wire.all.map(Self::All),
            wire.any.map(Self::Any),
            wire.none.map(Self::None),
            wire.segment.map(Self::Segment),
            wire.flagsmith.map(Self::Flagsmith),
        ]
        .into_iter()
        .flatten();
        match (forms.next(), forms.next(), wire.attribute, wire.op) {
            (None, _, Some(attribute), Some(op)) => {
                let (value, ignore_case, salt) = (wire.value.unwrap_or_default(), wire.ignore_case, wire.salt);
                Ok(Self::Attribute(Predicate { attribute, op, value, ignore_case, salt }))
            }
            (None, _, Some(attribute), None) => refuse(&format!("the test of attribute `{attribute}` needs an `op`")),
            (Some(form), None, None, None) if !goes_with_attribute => Ok(form),
            (Some(_), None, None, _) => refuse("`op`, `value`, `ignore_case` and `salt` go with `attribute` only"),
            _ => refuse("it needs exactly one of `all`, `any`, `none`, `segment`, `attribute` and `flagsmith`"),
        }
    }
}
