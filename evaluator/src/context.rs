//! What the caller tells about the unit that it asks for.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Timestamp;
pub use crate::attributes::Attributes;
use crate::name::Name;

/// The name under which OpenFeature contexts carry the unit's own key.
pub const TARGETING_KEY: &str = "targetingKey";

/// The unit and its attributes. Attributes are only read; nothing is stored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Context {
    /// The id of the unit of the default type `user`. An empty one counts as missing.
    #[serde(default)]
    pub targeting_key: Option<String>,
    /// Everything else, by name.
    #[serde(default)]
    pub attributes: Attributes,
}

impl Context {
    /// The context of one user, without attributes.
    pub fn user(targeting_key: impl Into<String>) -> Self {
        Self { targeting_key: Some(targeting_key.into()), attributes: Attributes::new() }
    }

    /// The same context with one more attribute.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.attributes.insert(name, value);
        self
    }
}

/// Whom an evaluation is about, and when it is.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Subject<'c> {
    pub(crate) context: &'c Context,
    /// Read only by flags that depend on time, which are refused when the caller told none.
    pub(crate) now: Timestamp,
}

/// A compiled reference to a part of a context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AttributeRef {
    /// The unit's own key; an attribute of that name when the context has no key of its own.
    TargetingKey,
    /// An attribute by its literal name.
    Named(Name),
}

impl AttributeRef {
    pub(crate) fn new(name: &str) -> Self {
        if name == TARGETING_KEY { Self::TargetingKey } else { Self::Named(name.into()) }
    }

    /// The name of the attribute.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::TargetingKey => TARGETING_KEY,
            Self::Named(name) => name.as_str(),
        }
    }

    /// What the context says, or `None` when it is absent or null.
    #[inline]
    pub(crate) fn read<'c>(&self, context: &'c Context) -> Option<Seen<'c>> {
        let value = match self {
            Self::TargetingKey => match &context.targeting_key {
                Some(key) => return Some(Seen::Text(key)),
                None => context.attributes.get(TARGETING_KEY),
            },
            Self::Named(name) => context.attributes.named(name),
        };
        match value? {
            Value::Null => None,
            Value::String(text) => Some(Seen::Text(text)),
            other => Some(Seen::Value(other)),
        }
    }

    /// The id of a unit: text that is not empty.
    #[inline]
    pub(crate) fn unit_id<'c>(&self, context: &'c Context) -> Option<&'c str> {
        match self.read(context)? {
            Seen::Text(text) if !text.is_empty() => Some(text),
            _ => None,
        }
    }
}

/// What a condition sees of an attribute.
#[derive(Copy, Clone, Debug)]
pub(crate) enum Seen<'c> {
    Text(&'c str),
    /// Anything but text and null.
    Value(&'c Value),
}
