//! One flag made ready for evaluation: indices instead of keys, salted lines instead of salts. The order of evaluation
//! is here: disabled, individual targets, rules, fallthrough. Prerequisites, which need other flags, come
//! between the first two, in [`crate::prerequisites`].

mod explain;

pub(crate) use self::explain::Steps;

use crate::context::{AttributeRef, Subject};
use crate::evaluation::{Assignment, Reason};
use crate::line::Line;
use crate::matcher::{Known, Matcher};
use crate::problem::{Problem, Problems};
use crate::ruleset::{FlagSource, UnitTypes};
use crate::run::{RunRef, Side, ramp_arm};
use crate::segments::Segments;
use crate::text_hash::TextMap;
use crate::validate::{check_flag, check_state};
use crate::{Bucket, Context, Flag, FlagKind, Ramp, Rule, Serve, Share, Split, Variation};

#[derive(Clone, Debug)]
pub(crate) struct CompiledFlag {
    variations: Box<[Variation]>,
    off: usize,
    enabled: bool,
    targets: TextMap<usize>,
    rules: Box<[CompiledRule]>,
    fallthrough: CompiledServe,
    needs_time: bool,
    /// The reason when nothing but a fixed variation is left.
    plain: Reason,
}

#[derive(Clone, Debug)]
struct CompiledRule {
    id: Box<str>,
    when: Matcher,
    serve: CompiledServe,
}

#[derive(Clone, Debug)]
enum CompiledServe {
    Variation(usize),
    Split(Box<CompiledSplit>),
    Ramp(Box<CompiledRamp>),
}

#[derive(Clone, Debug)]
struct CompiledUnit {
    name: Box<str>,
    attribute: AttributeRef,
}

#[derive(Clone, Debug)]
struct CompiledSplit {
    unit: CompiledUnit,
    share: Share,
    share_line: Line,
    split_line: Line,
    /// End of each range and its variation, ascending.
    ranges: Box<[(Bucket, usize)]>,
    run: Option<RunRef>,
}

#[derive(Clone, Debug)]
struct CompiledRamp {
    unit: CompiledUnit,
    share: Share,
    line: Line,
    treatment: usize,
    control: usize,
    run: Option<RunRef>,
}

/// What a flag serves.
pub(crate) struct Served<'r, 'c> {
    /// Its place among the flag's variations.
    pub(crate) variation: usize,
    pub(crate) reason: Reason,
    pub(crate) rule: Option<&'r str>,
    pub(crate) assignment: Option<Assignment<'r, 'c>>,
    pub(crate) missing_unit: Option<&'r str>,
}

/// What a rule's `serve` makes of a unit that matched.
enum Outcome<'r, 'c> {
    Serves { variation: usize, place: Option<Assignment<'r, 'c>>, by_bucket: bool },
    OutsideShare,
    NoUnit(&'r str),
}

impl CompiledFlag {
    /// Compiles one flag, or names everything that is wrong with it.
    pub(crate) fn compile(
        source: &FlagSource,
        segments: &Segments,
        units: &UnitTypes<'_>,
    ) -> Result<Self, Vec<Problem>> {
        let FlagSource { flag, state, .. } = source;
        let mut problems = Problems::default();
        check_flag(flag, &mut problems);
        check_state(flag, state, &mut problems);
        let mut conditions: Vec<Matcher> = Vec::with_capacity(state.rules.len());
        for (index, rule) in state.rules.iter().enumerate() {
            let path = format!("rules[{index}].when");
            let known = Known { find: &|key| segments.find(key), environment: segments.environment() };
            conditions.push(Matcher::compile(&rule.when, &path, known, &mut problems));
        }
        let problems = problems.into_vec();
        if !problems.is_empty() {
            return Err(problems);
        }

        let compiler = Compiler { flag, units };
        let off = compiler.variation(&flag.off_variation);
        let mut targets = TextMap::default();
        for target in &state.targets {
            let variation = compiler.variation(&target.variation);
            targets.extend(target.units.iter().map(|unit| (unit.as_str().into(), variation)));
        }
        let needs_time = state.enabled && conditions.iter().any(|when| when.needs_time(segments));
        let has_targeting = !(targets.is_empty() && state.rules.is_empty() && state.prerequisites.is_empty());
        Ok(Self {
            variations: flag.variations.iter().map(|variation| told(flag.kind, variation)).collect(),
            off,
            enabled: state.enabled,
            needs_time,
            targets,
            rules: state.rules.iter().zip(conditions).map(|it| compiler.rule(it)).collect(),
            fallthrough: state
                .fallthrough
                .as_ref()
                .map_or(CompiledServe::Variation(off), |serve| compiler.serve(serve)),
            plain: if has_targeting { Reason::Default } else { Reason::Static },
        })
    }

    /// Whether it serves anything but its off variation.
    #[inline]
    pub(crate) fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Whether it may serve something else at another time.
    pub(crate) fn needs_time(&self) -> bool {
        self.needs_time
    }

    /// Serves one variation to everybody from now on, or says why it cannot.
    pub(crate) fn force(&mut self, variation: &str) -> Result<(), String> {
        let Some(place) = self.variations.iter().position(|it| it.key == variation) else {
            let known: Vec<&str> = self.variations.iter().map(|it| it.key.as_str()).collect();
            return Err(format!("`{variation}` is not a variation (there are: `{}`)", known.join("`, `")));
        };
        self.enabled = true;
        self.targets.clear();
        self.rules = Box::default();
        self.fallthrough = CompiledServe::Variation(place);
        self.needs_time = false;
        self.plain = Reason::Static;
        Ok(())
    }

    /// The place of the off variation.
    pub(crate) fn off(&self) -> usize {
        self.off
    }

    /// The variation at a place that an evaluation answered.
    #[inline]
    pub(crate) fn variation(&self, index: usize) -> &Variation {
        &self.variations[index]
    }

    /// What is served when a prerequisite is not met.
    #[cold]
    pub(crate) fn without_prerequisite(&self) -> Served<'_, 'static> {
        self.plainly(self.off, Reason::Default)
    }

    /// What is served when all prerequisites are met.
    #[inline(always)]
    pub(crate) fn evaluate<'r, 'c>(&'r self, subject: Subject<'c>, segments: &Segments) -> Served<'r, 'c> {
        let Subject { context, .. } = subject;
        if !self.enabled {
            return self.plainly(self.off, Reason::Disabled);
        }
        if !self.targets.is_empty()
            && let Some(unit_id) = segments.user_id(context)
            && let Some(variation) = self.targets.get(unit_id)
        {
            return self.plainly(*variation, Reason::TargetingMatch);
        }
        let mut missing_unit = None;
        for rule in &self.rules {
            if !rule.when.is_met(subject, segments) {
                continue;
            }
            match self.serve(&rule.serve, context) {
                Outcome::Serves { variation, place, by_bucket } => {
                    let reason = if by_bucket { Reason::Split } else { Reason::TargetingMatch };
                    return Served { variation, reason, rule: Some(&rule.id), assignment: place, missing_unit };
                }
                Outcome::OutsideShare => {}
                Outcome::NoUnit(unit) => missing_unit = missing_unit.or(Some(unit)),
            }
        }
        self.fall_through(context, missing_unit)
    }

    #[inline(always)]
    fn fall_through<'r, 'c>(&'r self, context: &'c Context, mut missing_unit: Option<&'r str>) -> Served<'r, 'c> {
        let (variation, assignment, reason) = match self.serve(&self.fallthrough, context) {
            Outcome::Serves { variation, place, by_bucket } => {
                (variation, place, if by_bucket { Reason::Split } else { self.plain })
            }
            Outcome::OutsideShare => (self.off, None, Reason::Default),
            Outcome::NoUnit(unit) => {
                missing_unit = missing_unit.or(Some(unit));
                (self.off, None, Reason::Default)
            }
        };
        Served { variation, reason, rule: None, assignment, missing_unit }
    }

    #[inline]
    fn plainly<'r, 'c>(&'r self, variation: usize, reason: Reason) -> Served<'r, 'c> {
        Served { variation, reason, rule: None, assignment: None, missing_unit: None }
    }

    #[inline(always)]
    fn serve<'r, 'c>(&'r self, serve: &'r CompiledServe, context: &'c Context) -> Outcome<'r, 'c> {
        match serve {
            CompiledServe::Variation(variation) => {
                Outcome::Serves { variation: *variation, place: None, by_bucket: false }
            }
            CompiledServe::Split(split) => self.serve_split(split, context),
            CompiledServe::Ramp(ramp) => self.serve_ramp(ramp, context),
        }
    }

    #[inline(always)]
    fn serve_split<'r, 'c>(&'r self, split: &'r CompiledSplit, context: &'c Context) -> Outcome<'r, 'c> {
        let Some(unit_id) = split.unit.attribute.unit_id(context) else {
            return Outcome::NoUnit(&split.unit.name);
        };
        // Everybody is inside the full share: no need to hash for it.
        let inside = split.share == Share::FULL || split.share.contains(split.share_line.bucket(unit_id));
        if !inside {
            return Outcome::OutsideShare;
        }
        let bucket = split.split_line.bucket(unit_id);
        let Some((_, variation)) = split.ranges.iter().find(|(end, _)| bucket < *end) else {
            return Outcome::OutsideShare;
        };
        let key = self.variations[*variation].key.as_str();
        let place = split.run.as_ref().map(|run| Assignment {
            run,
            arm: Some(key),
            variation: key,
            bucket,
            unit_type: &split.unit.name,
            unit_id,
        });
        Outcome::Serves { variation: *variation, place, by_bucket: true }
    }

    #[inline]
    fn serve_ramp<'r, 'c>(&'r self, ramp: &'r CompiledRamp, context: &'c Context) -> Outcome<'r, 'c> {
        let Some(unit_id) = ramp.unit.attribute.unit_id(context) else {
            return Outcome::NoUnit(&ramp.unit.name);
        };
        let bucket = ramp.line.bucket(unit_id);
        let arm = ramp_arm(bucket, ramp.share);
        let variation = match arm.side {
            Side::Treatment => ramp.treatment,
            Side::Control => ramp.control,
        };
        let place = ramp.run.as_ref().map(|run| Assignment {
            run,
            arm: arm.arm(),
            variation: &self.variations[variation].key,
            bucket,
            unit_type: &ramp.unit.name,
            unit_id,
        });
        Outcome::Serves { variation, place, by_bucket: true }
    }
}

/// A variation with the state that protocols tell: one of a boolean flag is on when it is true.
fn told(kind: FlagKind, variation: &Variation) -> Variation {
    let is_on = kind != FlagKind::Boolean || variation.value == true;
    Variation { enabled: variation.enabled && is_on, ..variation.clone() }
}

/// Turns the checked parts of one flag into their compiled forms.
struct Compiler<'s> {
    flag: &'s Flag,
    units: &'s UnitTypes<'s>,
}

impl Compiler<'_> {
    fn variation(&self, key: &str) -> usize {
        self.flag
            .variations
            .iter()
            .position(|variation| variation.key == key)
            .expect("only flags without problems come here, and an unknown variation is one")
    }

    fn rule(&self, (rule, when): (&Rule, Matcher)) -> CompiledRule {
        CompiledRule { id: rule.id.as_str().into(), when, serve: self.serve(&rule.serve) }
    }

    fn unit(&self, name: &str) -> CompiledUnit {
        CompiledUnit { name: name.into(), attribute: self.units.attribute(name) }
    }

    fn serve(&self, serve: &Serve) -> CompiledServe {
        match serve {
            Serve::Variation(variation) => CompiledServe::Variation(self.variation(variation)),
            Serve::Split(split) => CompiledServe::Split(Box::new(self.split(split))),
            Serve::Ramp(ramp) => CompiledServe::Ramp(Box::new(self.ramp(ramp))),
        }
    }

    fn split(&self, split: &Split) -> CompiledSplit {
        CompiledSplit {
            unit: self.unit(&split.unit),
            share: split.share,
            share_line: Line::share(self.flag.dialect, &split.salt),
            split_line: Line::split(self.flag.dialect, &split.salt),
            ranges: split.ranges.iter().map(|range| (range.end, self.variation(&range.variation))).collect(),
            run: split.run.clone(),
        }
    }

    fn ramp(&self, ramp: &Ramp) -> CompiledRamp {
        CompiledRamp {
            unit: self.unit(&ramp.unit),
            share: ramp.share,
            line: Line::share(self.flag.dialect, &ramp.salt),
            treatment: self.variation(&ramp.treatment),
            control: self.variation(&ramp.control),
            run: ramp.run.clone(),
        }
    }
}
