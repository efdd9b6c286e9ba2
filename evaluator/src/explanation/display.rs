//! Explanations as lines of plain text, indented by how deep a step is.

use std::fmt::{self, Display, Formatter};

use super::{
    ExplainedCondition, ExplainedParts, ExplainedPredicate, ExplainedPrerequisite, ExplainedRamp, ExplainedRule,
    ExplainedSegment, ExplainedServe, ExplainedSplit, Explanation, SegmentBy,
};
use crate::brief::brief_text;

/// The line without its end, moved in by `depth`.
fn line(f: &mut Formatter<'_>, depth: usize, text: impl Display) -> fmt::Result {
    writeln!(f, "{:indent$}{text}", "", indent = 2 * depth)
}

const fn met(is_met: bool) -> &'static str {
    if is_met { "met" } else { "not met" }
}

impl Display for Explanation<'_, '_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let answer = &self.evaluation;
        write!(f, "Flag `{}` ", answer.flag)?;
        match (&answer.error, answer.variation, answer.value) {
            (None, Some(variation), Some(value)) => {
                let value = crate::brief::brief(value);
                writeln!(f, "serves `{variation}` = {value}, reason {}.", answer.reason)?;
            }
            (Some(error), ..) => writeln!(f, "has nothing to serve: {error}.")?,
            _ => writeln!(f, "has nothing to serve.")?,
        }
        let Some(enabled) = self.flag_enabled else { return Ok(()) };
        let state = if enabled { "enabled" } else { "disabled: the off variation" };
        line(f, 1, format_args!("revision {}, at {}: {state}", answer.revision, self.now))?;
        for prerequisite in &self.prerequisites {
            line(f, 1, prerequisite)?;
        }
        if let Some(unmet) = answer.prerequisite {
            line(f, 1, format_args!("prerequisite `{unmet}` is not met: the off variation"))?;
        }
        if let Some(target) = self.target {
            let unit_id = brief_text(target.unit_id);
            line(f, 1, format_args!("individual target `{unit_id}`: `{}`", target.variation))?;
        }
        for rule in &self.rules {
            write_rule(f, rule)?;
        }
        match &self.fallthrough {
            Some(serve) => {
                line(f, 1, "fallthrough")?;
                write_serve(f, serve)?;
            }
            None => line(f, 1, "fallthrough: not reached")?,
        }
        if let Some(unit) = answer.missing_unit {
            line(f, 1, format_args!("the context has no unit of type `{unit}`"))?;
        }
        Ok(())
    }
}

impl Display for ExplainedPrerequisite<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "prerequisite `{}` ", self.flag)?;
        match self.serves {
            Some(variation) => write!(f, "serves `{variation}`, ")?,
            None => f.write_str("is disabled, ")?,
        }
        write!(f, "needed is `{}`: {}", self.needed.join("` or `"), met(self.met))
    }
}

fn write_rule(f: &mut Formatter<'_>, rule: &ExplainedRule<'_, '_>) -> fmt::Result {
    if !rule.reached {
        return line(f, 1, format_args!("rule `{}`: not reached", rule.id));
    }
    line(f, 1, format_args!("rule `{}`: {}", rule.id, met(rule.met)))?;
    if let Some(when) = &rule.when {
        write_condition(f, 2, when)?;
    }
    rule.serve.as_ref().map_or(Ok(()), |serve| write_serve(f, serve))
}

fn write_condition(f: &mut Formatter<'_>, depth: usize, condition: &ExplainedCondition<'_>) -> fmt::Result {
    match condition {
        ExplainedCondition::All(group) => write_parts(f, depth, "all of", "everybody", group),
        ExplainedCondition::Any(group) => write_parts(f, depth, "any of", "nobody", group),
        ExplainedCondition::None(group) => write_parts(f, depth, "none of", "everybody", group),
        ExplainedCondition::Segment(segment) => write_segment(f, depth, segment),
        ExplainedCondition::Attribute(predicate) => line(f, depth, predicate),
        ExplainedCondition::Flagsmith { met: is_met } => {
            line(f, depth, format_args!("rules of an imported segment: {}", met(*is_met)))
        }
    }
}

fn write_parts(
    f: &mut Formatter<'_>,
    depth: usize,
    name: &str,
    without_parts: &str,
    group: &ExplainedParts<'_>,
) -> fmt::Result {
    if group.parts.is_empty() {
        return line(f, depth, format_args!("{without_parts}: {}", met(group.met)));
    }
    line(f, depth, format_args!("{name}: {}", met(group.met)))?;
    group.parts.iter().try_for_each(|part| write_condition(f, depth + 1, part))
}

fn write_segment(f: &mut Formatter<'_>, depth: usize, segment: &ExplainedSegment<'_>) -> fmt::Result {
    let why = match (segment.by, &segment.when) {
        (SegmentBy::Included, _) => "on its list of included units",
        (SegmentBy::Excluded, _) => "on its list of excluded units",
        (SegmentBy::Condition, Some(_)) => "by its condition",
        (SegmentBy::Condition, None) => "by its condition, shown above",
    };
    line(f, depth, format_args!("segment `{}`, {why}: {}", segment.segment, met(segment.met)))?;
    segment.when.as_ref().map_or(Ok(()), |when| write_condition(f, depth + 1, when))
}

impl Display for ExplainedPredicate<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.attribute, self.op)?;
        if !self.value.is_null() {
            write!(f, " {}", self.value)?;
        }
        if self.ignore_case {
            f.write_str(" (ignoring case)")?;
        }
        match &self.had {
            Some(had) => write!(f, ", is {had}")?,
            None => f.write_str(", is absent")?,
        }
        if let Some(bucket) = self.bucket {
            write!(f, " in bucket {bucket}")?;
        }
        write!(f, ": {}", met(self.met))
    }
}

fn write_serve(f: &mut Formatter<'_>, serve: &ExplainedServe<'_, '_>) -> fmt::Result {
    match serve {
        ExplainedServe::Variation { variation } => line(f, 2, format_args!("serves `{variation}`")),
        ExplainedServe::Split(split) => write_split(f, split),
        ExplainedServe::Ramp(ramp) => write_ramp(f, ramp),
    }
}

fn write_split(f: &mut Formatter<'_>, split: &ExplainedSplit<'_, '_>) -> fmt::Result {
    let Some(unit_id) = split.unit_id.map(brief_text) else {
        return line(f, 2, format_args!("split by {}: the context has no such unit", split.unit_type));
    };
    line(f, 2, format_args!("split by {} `{unit_id}`", split.unit_type))?;
    if let Some(bucket) = split.share_bucket {
        let place = if split.share.contains(bucket) { "inside" } else { "outside" };
        let (share, parts) = (split.share, split.share.parts());
        line(f, 3, format_args!("bucket {bucket} is {place} the share of {share} (below {parts})"))?;
    }
    match (split.split_bucket, &split.range) {
        (Some(bucket), Some(range)) => {
            let (start, end) = (range.start, range.end);
            line(
                f,
                3,
                format_args!("bucket {bucket} is in the range from {start} to below {end}: `{}`", range.variation),
            )
        }
        _ => Ok(()),
    }
}

fn write_ramp(f: &mut Formatter<'_>, ramp: &ExplainedRamp<'_, '_>) -> fmt::Result {
    let (Some(unit_id), Some(bucket), Some(variation)) = (ramp.unit_id.map(brief_text), ramp.bucket, ramp.variation)
    else {
        return line(f, 2, format_args!("ramp by {}: the context has no such unit", ramp.unit_type));
    };
    line(f, 2, format_args!("ramp by {} `{unit_id}`", ramp.unit_type))?;
    let (place, side) = if ramp.share.contains(bucket) { ("inside", "treatment") } else { ("outside", "control") };
    let arm = if ramp.arm.is_some() { "analysed" } else { "not analysed" };
    let (share, parts) = (ramp.share, ramp.share.parts());
    let place = format_args!("bucket {bucket} is {place} the share of {share} (below {parts})");
    line(f, 3, format_args!("{place}: {side} `{variation}`, {arm}"))
}
