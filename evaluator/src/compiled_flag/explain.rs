//! Explains one flag: the same order as evaluation, with every bucket and threshold written down.

use super::{CompiledFlag, CompiledRamp, CompiledServe, CompiledSplit, Outcome, Served};
use crate::context::Subject;
use crate::evaluation::Reason;
use crate::explanation::{ExplainedRamp, ExplainedRule, ExplainedServe, ExplainedSplit, ExplainedTarget};
use crate::matcher::Explainer;
use crate::run::{Side, ramp_arm};
use crate::segments::Segments;
use crate::{Context, Range};

/// The steps that lie within one flag, and what it serves.
pub(crate) struct Steps<'r, 'c> {
    pub(crate) served: Served<'r, 'c>,
    pub(crate) target: Option<ExplainedTarget<'r, 'c>>,
    pub(crate) rules: Vec<ExplainedRule<'r, 'c>>,
    pub(crate) fallthrough: Option<ExplainedServe<'r, 'c>>,
}

impl CompiledFlag {
    /// The steps of a flag that is not evaluated further: it is disabled, or a prerequisite is not met.
    pub(crate) fn explain_off(&self, reason: Reason) -> Steps<'_, 'static> {
        let rules = self.rules.iter().map(|rule| not_reached(&rule.id)).collect();
        Steps { served: self.plainly(self.off, reason), target: None, rules, fallthrough: None }
    }

    /// The steps of a flag that is enabled and whose prerequisites are met.
    pub(crate) fn explain<'r, 'c>(&'r self, subject: Subject<'c>, segments: &'r Segments) -> Steps<'r, 'c> {
        let context = subject.context;
        let target = segments.user_id(context).and_then(|unit_id| Some((unit_id, *self.targets.get(unit_id)?)));
        if let Some((unit_id, place)) = target {
            let variation = self.variations[place].key.as_str();
            let served = self.plainly(place, Reason::TargetingMatch);
            return Steps {
                served,
                target: Some(ExplainedTarget { unit_id, variation }),
                ..self.explain_off(Reason::Default)
            };
        }
        let mut explainer = Explainer::new(segments, subject);
        let mut rules = Vec::with_capacity(self.rules.len());
        let mut missing_unit = None;
        let mut served: Option<Served<'r, 'c>> = None;
        for rule in &self.rules {
            if served.is_some() {
                rules.push(not_reached(&rule.id));
                continue;
            }
            let when = explainer.explain(&rule.when);
            let met = when.met();
            let serve = met.then(|| self.explain_serve(&rule.serve, context));
            rules.push(ExplainedRule { id: &rule.id, reached: true, met, when: Some(when), serve });
            if !met {
                continue;
            }
            match self.serve(&rule.serve, context) {
                Outcome::Serves { variation, place, by_bucket } => {
                    let reason = if by_bucket { Reason::Split } else { Reason::TargetingMatch };
                    served = Some(Served { variation, reason, rule: Some(&rule.id), assignment: place, missing_unit });
                }
                Outcome::OutsideShare => {}
                Outcome::NoUnit(unit) => missing_unit = missing_unit.or(Some(unit)),
            }
        }
        let fallthrough = served.is_none().then(|| self.explain_serve(&self.fallthrough, context));
        let served = served.unwrap_or_else(|| self.fall_through(context, missing_unit));
        Steps { served, target: None, rules, fallthrough }
    }

    fn explain_serve<'r, 'c>(&'r self, serve: &'r CompiledServe, context: &'c Context) -> ExplainedServe<'r, 'c> {
        match serve {
            CompiledServe::Variation(place) => ExplainedServe::Variation { variation: &self.variations[*place].key },
            CompiledServe::Split(split) => ExplainedServe::Split(self.explain_split(split, context)),
            CompiledServe::Ramp(ramp) => ExplainedServe::Ramp(self.explain_ramp(ramp, context)),
        }
    }

    fn explain_split<'r, 'c>(&'r self, split: &'r CompiledSplit, context: &'c Context) -> ExplainedSplit<'r, 'c> {
        let unit_id = split.unit.attribute.unit_id(context);
        let share_bucket = unit_id.map(|id| split.share_line.bucket(id));
        let is_inside = share_bucket.is_some_and(|bucket| split.share.contains(bucket));
        let split_bucket = unit_id.filter(|_| is_inside).map(|id| split.split_line.bucket(id));
        let starts = [0].into_iter().chain(split.ranges.iter().map(|(end, _)| *end));
        let found = starts
            .zip(&split.ranges)
            .find(|(start, (end, _))| split_bucket.is_some_and(|bucket| (*start..*end).contains(&bucket)));
        let range = found.map(|(start, (end, place))| Range {
            variation: self.variations[*place].key.clone(),
            start,
            end: *end,
        });
        ExplainedSplit {
            unit_type: &split.unit.name,
            unit_id,
            share: split.share,
            share_bucket,
            split_bucket,
            range,
            variation: found.map(|(_, (_, place))| self.variations[*place].key.as_str()),
        }
    }

    fn explain_ramp<'r, 'c>(&'r self, ramp: &'r CompiledRamp, context: &'c Context) -> ExplainedRamp<'r, 'c> {
        let unit_id = ramp.unit.attribute.unit_id(context);
        let bucket = unit_id.map(|id| ramp.line.bucket(id));
        let arm = bucket.map(|bucket| ramp_arm(bucket, ramp.share));
        let variation = arm.map(|arm| match arm.side {
            Side::Treatment => ramp.treatment,
            Side::Control => ramp.control,
        });
        ExplainedRamp {
            unit_type: &ramp.unit.name,
            unit_id,
            share: ramp.share,
            bucket,
            arm: arm.and_then(|arm| arm.arm()),
            variation: variation.map(|place| self.variations[place].key.as_str()),
        }
    }
}

fn not_reached<'r>(id: &'r str) -> ExplainedRule<'r, 'static> {
    ExplainedRule { id, reached: false, met: false, when: None, serve: None }
}
