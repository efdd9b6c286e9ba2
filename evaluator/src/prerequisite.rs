//! What other flags must serve before a flag serves anything but its off variation, as it is written. What needs the
//! rest of the ruleset (is there such a flag, do they need each other in a circle?) is in [`crate::Ruleset`]'s compiler.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::problem::Problems;
use crate::{Error, Flag, Key};

/// Another flag that has to serve one of these variations to the same context, and not by being disabled.
///
/// The wire form is `{flag: new-account, variations: [on, beta]}`, or `{flag: new-account, variation: on}` for one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "PrerequisiteWire")]
pub struct Prerequisite {
    /// The key of the other flag, in the same environment.
    pub flag: Key,
    /// The keys of its variations that will do.
    pub variations: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PrerequisiteWire {
    flag: Key,
    #[serde(default)]
    variation: Option<String>,
    #[serde(default)]
    variations: Option<Vec<String>>,
}

impl TryFrom<PrerequisiteWire> for Prerequisite {
    type Error = Error;

    fn try_from(wire: PrerequisiteWire) -> Result<Self, Error> {
        let variations = match (wire.variation, wire.variations) {
            (Some(variation), None) => vec![variation],
            (None, Some(variations)) => variations,
            _ => return Err(Error::Prerequisite("it needs exactly one of `variation` and `variations`".to_owned())),
        };
        Ok(Self { flag: wire.flag, variations })
    }
}

/// The prerequisites of a flag as far as they can be checked without the other flags.
pub(crate) fn check_prerequisites(flag: &Flag, prerequisites: &[Prerequisite], problems: &mut Problems) {
    let mut seen = HashSet::new();
    for (index, prerequisite) in prerequisites.iter().enumerate() {
        let path = format!("prerequisites[{index}]");
        if prerequisite.flag == flag.key {
            problems.add(format!("{path}.flag"), "a flag cannot be its own prerequisite");
        } else if !seen.insert(&prerequisite.flag) {
            let message = format!("`{}` is an earlier prerequisite: list all its variations there", prerequisite.flag);
            problems.add(format!("{path}.flag"), message);
        }
        if prerequisite.variations.is_empty() {
            let message = format!("name at least one variation that `{}` has to serve", prerequisite.flag);
            problems.add(format!("{path}.variations"), message);
        }
    }
}
