//! A ruleset from JSON text. A flag or segment that cannot be read is broken in its own place, as long as its key can
//! be read; anything else that is wrong refuses the whole, with its place in the text.

use std::sync::Arc;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::ruleset::FlagSource;
use crate::{EnvironmentNames, Error, Key, Problem, Ruleset, RulesetSource, Segment, UnitType};

/// A flag or segment of which no more is known than its key.
#[derive(Debug)]
pub(crate) struct Unreadable {
    pub(crate) key: Key,
    pub(crate) revision: u64,
    pub(crate) problem: Problem,
}

/// What could not be read, beside the rest of the ruleset.
#[derive(Debug, Default)]
pub(crate) struct Refused {
    pub(crate) flags: Vec<Unreadable>,
    pub(crate) segments: Vec<Unreadable>,
}

impl Ruleset {
    /// Reads and compiles the JSON text of a [`RulesetSource`].
    ///
    /// Flags and segments that are not as they should be are errors in their own slots, listed by
    /// [`Ruleset::problems`]. [`Error::Ruleset`] names path, line and column when the text is not JSON, or
    /// what is wrong lies outside of flags and segments, or in one whose key is not to be read.
    pub fn parse(json: &str) -> Result<Self, Error> {
        let mut deserializer = serde_json::Deserializer::from_str(json);
        let wire: RulesetWire = serde_path_to_error::deserialize(&mut deserializer)
            .map_err(|error| refusal(error.path().to_string(), error.inner()))?;
        deserializer.end().map_err(|error| refusal(".".to_owned(), &error))?;

        let (flags, unreadable_flags) = apart(wire.flags);
        let (segments, unreadable_segments) = apart(wire.segments);
        let source = RulesetSource {
            revision: wire.revision,
            flags,
            segments,
            unit_types: wire.unit_types,
            environment: wire.environment,
        };
        let refused = Refused { flags: unreadable_flags, segments: unreadable_segments };
        let mut ruleset = Self::compile_with(source, &refused, None);
        // The next one comes from text too, and shares nothing with this one.
        ruleset.forget_sources();
        Ok(ruleset)
    }
}

fn refusal(path: String, error: &serde_json::Error) -> Error {
    let (line, column) = (error.line(), error.column());
    let text = error.to_string();
    let place = format!(" at line {line} column {column}");
    Error::Ruleset { path, line, column, message: text.strip_suffix(&place).unwrap_or(&text).to_owned() }
}

/// [`RulesetSource`] as it is read here.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RulesetWire {
    revision: u64,
    #[serde(default)]
    flags: Vec<Part<FlagSource>>,
    #[serde(default)]
    segments: Vec<Part<Segment>>,
    #[serde(default)]
    unit_types: Vec<UnitType>,
    #[serde(default)]
    environment: EnvironmentNames,
}

enum Part<T> {
    Usable(T),
    Unreadable(Unreadable),
}

fn apart<T>(parts: Vec<Part<T>>) -> (Vec<Arc<T>>, Vec<Unreadable>) {
    let (mut usable, mut unreadable) = (Vec::with_capacity(parts.len()), Vec::new());
    for part in parts {
        match part {
            Part::Usable(part) => usable.push(Arc::new(part)),
            Part::Unreadable(part) => unreadable.push(part),
        }
    }
    (usable, unreadable)
}

/// Where a part of a ruleset has its key, and how the paths of its fields begin that people do not see.
trait Keyed: DeserializeOwned {
    const KEY: &str;
    const HIDDEN: &[&str];
}

impl Keyed for FlagSource {
    const KEY: &str = "/flag/key";
    const HIDDEN: &[&str] = &["flag.", "state."];
}

impl Keyed for Segment {
    const KEY: &str = "/key";
    const HIDDEN: &[&str] = &[];
}

impl<'de, T: Keyed> Deserialize<'de> for Part<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire = Value::deserialize(deserializer)?;
        let error = match serde_path_to_error::deserialize::<_, T>(&wire) {
            Ok(part) => return Ok(Self::Usable(part)),
            Err(error) => error,
        };
        let path = error.path().to_string();
        let key = wire.pointer(T::KEY).and_then(Value::as_str).and_then(|key| Key::new(key).ok());
        let Some(key) = key else {
            return Err(D::Error::custom(format_args!("`{path}`: {}", error.inner())));
        };
        let seen = T::HIDDEN.iter().find_map(|hidden| path.strip_prefix(hidden)).unwrap_or(&path);
        let problem = Problem {
            path: if seen == "." { String::new() } else { seen.to_owned() },
            message: error.inner().to_string(),
        };
        let revision = wire.get("revision").and_then(Value::as_u64).unwrap_or_default();
        Ok(Self::Unreadable(Unreadable { key, revision, problem }))
    }
}
