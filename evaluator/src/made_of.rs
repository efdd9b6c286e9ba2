//! What a ruleset was compiled from, kept so that the next one compiles only what changed.

use std::sync::Arc;

use crate::problem::Problem;
use crate::ruleset::FlagSource;
use crate::{EnvironmentNames, RulesetSource, Segment, UnitType, shared};

/// The sources of a ruleset. Parts are the same when they are shared, not when they are equal: telling costs nothing, and
/// a part that is not shared is compiled again.
#[derive(Clone, Debug)]
pub(crate) struct MadeOf {
    /// By slot; `None` for a flag that is declared twice.
    pub(crate) flags: Vec<Option<Arc<FlagSource>>>,
    pub(crate) segments: Vec<Arc<Segment>>,
    /// What was wrong with the segments.
    pub(crate) segment_problems: Vec<Problem>,
    pub(crate) unit_types: Vec<UnitType>,
    pub(crate) environment: EnvironmentNames,
}

impl MadeOf {
    /// Whether flags that did not change mean the same in the other ruleset: nothing that they refer to has changed.
    pub(crate) fn is_ground_of(&self, source: &RulesetSource) -> bool {
        shared::is_same(&self.segments, &source.segments)
            && self.unit_types == source.unit_types
            && self.environment == source.environment
    }

    /// Whether a slot was compiled from this very source.
    pub(crate) fn has(&self, slot: usize, source: &Arc<FlagSource>) -> bool {
        self.flags.get(slot).and_then(Option::as_ref).is_some_and(|known| Arc::ptr_eq(known, source))
    }
}
