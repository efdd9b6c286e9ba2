//! Explains conditions: every part is looked at, and what it comes to follows from what its parts come to.

use std::collections::HashMap;

use super::Matcher;
use crate::context::Subject;
use crate::explanation::{ExplainedCondition, ExplainedParts, ExplainedSegment, SegmentBy};
use crate::segments::{Membership, Segments};

/// Explains the conditions of one flag. A segment is opened up once, so the work is bounded by the ruleset's size.
pub(crate) struct Explainer<'r, 'c> {
    segments: &'r Segments,
    subject: Subject<'c>,
    /// The segments that were opened up, and whether the unit is in.
    opened: HashMap<usize, bool>,
}

impl<'r, 'c> Explainer<'r, 'c> {
    pub(crate) fn new(segments: &'r Segments, subject: Subject<'c>) -> Self {
        Self { segments, subject, opened: HashMap::new() }
    }

    pub(crate) fn explain(&mut self, matcher: &'r Matcher) -> ExplainedCondition<'r> {
        match matcher {
            Matcher::All(parts) => {
                let parts = self.explain_all(parts);
                ExplainedCondition::All(ExplainedParts { met: parts.iter().all(ExplainedCondition::met), parts })
            }
            Matcher::Any(parts) => {
                let parts = self.explain_all(parts);
                ExplainedCondition::Any(ExplainedParts { met: parts.iter().any(ExplainedCondition::met), parts })
            }
            Matcher::None(parts) => {
                let parts = self.explain_all(parts);
                ExplainedCondition::None(ExplainedParts { met: !parts.iter().any(ExplainedCondition::met), parts })
            }
            Matcher::Segment(index) => ExplainedCondition::Segment(self.explain_segment(*index)),
            Matcher::Check(check) => ExplainedCondition::Attribute(check.explain(self.subject)),
            Matcher::Flagsmith(check) => ExplainedCondition::Flagsmith { met: check.is_met(self.subject.context) },
        }
    }

    fn explain_all(&mut self, parts: &'r [Matcher]) -> Vec<ExplainedCondition<'r>> {
        parts.iter().map(|part| self.explain(part)).collect()
    }

    fn explain_segment(&mut self, index: usize) -> ExplainedSegment<'r> {
        let segment = self.segments.key(index);
        let (met, by, when) = match self.segments.membership(index, self.subject.context) {
            Membership::Included => (true, SegmentBy::Included, None),
            Membership::Excluded => (false, SegmentBy::Excluded, None),
            Membership::ByCondition(when) => match self.opened.get(&index) {
                Some(met) => (*met, SegmentBy::Condition, None),
                None => {
                    let when = self.explain(when);
                    self.opened.insert(index, when.met());
                    (when.met(), SegmentBy::Condition, Some(Box::new(when)))
                }
            },
        };
        ExplainedSegment { met, segment, by, when }
    }
}
