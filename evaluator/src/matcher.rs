//! A condition tree made ready for evaluation: checks and indices of segments, no names to look up.

mod explain;

pub(crate) use self::explain::Explainer;

use crate::check::{Check, Refusal};
use crate::context::Subject;
use crate::flagsmith::segment_check::SegmentCheck;
use crate::problem::Problems;
use crate::segments::Segments;
use crate::{Condition, EnvironmentNames, Key};

/// How deep conditions may be nested: evaluation recurses this far at most.
pub(crate) const DEPTH_MAX: usize = 32;

#[derive(Clone, Debug)]
pub(crate) enum Matcher {
    All(Box<[Matcher]>),
    Any(Box<[Matcher]>),
    None(Box<[Matcher]>),
    Segment(usize),
    Check(Check),
    Flagsmith(Box<SegmentCheck>),
}

/// What conditions refer to.
#[derive(Copy, Clone)]
pub(crate) struct Known<'f> {
    /// Finds a segment's index, or says why it cannot be used.
    pub(crate) find: &'f dyn Fn(&Key) -> Result<usize, String>,
    pub(crate) environment: &'f EnvironmentNames,
}

impl Matcher {
    /// Compiles `condition`, whose place is `path`. What cannot be compiled is a problem, and met by nobody.
    pub(crate) fn compile(condition: &Condition, path: &str, known: Known<'_>, problems: &mut Problems) -> Self {
        Self::compile_at(1, condition, path, known, problems)
    }

    fn compile_at(depth: usize, condition: &Condition, path: &str, known: Known<'_>, problems: &mut Problems) -> Self {
        if depth > DEPTH_MAX {
            problems.add(path, format!("conditions are nested deeper than {DEPTH_MAX}"));
            return Self::never();
        }
        let mut compile_all = |parts: &[Condition], name: &str| -> Box<[Self]> {
            let compile_part = |(index, part)| {
                let path = format!("{path}.{name}[{index}]");
                Self::compile_at(depth + 1, part, &path, known, &mut *problems)
            };
            parts.iter().enumerate().map(compile_part).collect()
        };
        match condition {
            Condition::All(parts) => Self::All(compile_all(parts, "all")),
            Condition::Any(parts) => Self::Any(compile_all(parts, "any")),
            Condition::None(parts) => Self::None(compile_all(parts, "none")),
            Condition::Segment(key) => (known.find)(key).map(Self::Segment).unwrap_or_else(|message| {
                problems.add(format!("{path}.segment"), message);
                Self::never()
            }),
            Condition::Flagsmith(found) => {
                let compiled = SegmentCheck::compile(&found.segment, &found.rules, known.environment);
                compiled.map(|check| Self::Flagsmith(Box::new(check))).unwrap_or_else(|(place, message)| {
                    problems.add(format!("{path}.flagsmith.{place}"), message);
                    Self::never()
                })
            }
            Condition::Attribute(predicate) => {
                if predicate.attribute.is_empty() {
                    problems.add(format!("{path}.attribute"), "an attribute needs a name");
                }
                Check::compile(predicate).map(Self::Check).unwrap_or_else(|Refusal { field, message }| {
                    problems.add(format!("{path}.{field}"), message);
                    Self::never()
                })
            }
        }
    }

    fn never() -> Self {
        Self::Any(Box::default())
    }

    /// Whether it has another answer at another time.
    pub(crate) fn needs_time(&self, segments: &Segments) -> bool {
        match self {
            Self::All(parts) | Self::Any(parts) | Self::None(parts) => {
                parts.iter().any(|part| part.needs_time(segments))
            }
            Self::Segment(index) => segments.needs_time(*index),
            Self::Check(check) => check.needs_time(),
            Self::Flagsmith(_) => false,
        }
    }

    #[inline(always)]
    pub(crate) fn is_met(&self, subject: Subject<'_>, segments: &Segments) -> bool {
        // Most conditions are a check, or all of a few checks: those are met without a call for each.
        let met = |part: &Self| match part {
            Self::Check(check) => check.is_met(subject),
            part => part.is_met_nested(subject, segments),
        };
        match self {
            Self::All(parts) => parts.iter().all(met),
            part => met(part),
        }
    }

    fn is_met_nested(&self, subject: Subject<'_>, segments: &Segments) -> bool {
        let met = |part: &Self| part.is_met(subject, segments);
        match self {
            Self::All(parts) => parts.iter().all(met),
            Self::Any(parts) => parts.iter().any(met),
            Self::None(parts) => !parts.iter().any(met),
            Self::Segment(index) => segments.has(*index, subject),
            Self::Check(check) => check.is_met(subject),
            Self::Flagsmith(check) => check.is_met(subject.context),
        }
    }
}
