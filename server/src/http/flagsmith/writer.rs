//! Writes down what the protocol says of one flag, for every place that can serve it and every variation.

use std::collections::HashMap;

use liftgate_evaluator::{
    CONTROL, Condition, Dialect, Evaluation, Flag, FlagKind, FlagState, Rule, RunRef, Segment, Serve, Variation,
};
use serde_json::json;

use super::{
    terms::{control_of, feature_name, feature_value},
    view::{FlagView, Place, RunTexts, Text},
};

/// The name under which the override of one identity stands in reasons.
const IDENTITY_OVERRIDES: &str = "identity_overrides";

/// One flag with what its texts need.
pub(super) struct Writer<'s> {
    pub(super) flag: &'s Flag,
    pub(super) state: &'s FlagState,
    pub(super) segments: &'s HashMap<&'s str, &'s Segment>,
    pub(super) number: u64,
}

impl Writer<'_> {
    pub(super) fn view(&self) -> FlagView {
        let mut texts = Vec::new();
        let mut add = |place: Place, variation: &Variation, variant: Option<&str>, reason: &str| {
            let json = self.json(variation, place != Place::Off, variant, reason);
            texts.push(Text { place, variation: variation.key.clone(), json });
        };
        let plain = if self.state.rules.is_empty() { "STATIC" } else { "DEFAULT" };
        for variation in &self.flag.variations {
            add(Place::Off, variation, None, plain);
            add(Place::Target, variation, None, &format!("TARGETING_MATCH; segment={IDENTITY_OVERRIDES}"));
        }
        for rule in &self.state.rules {
            let reason = format!("TARGETING_MATCH; segment={}", self.name_of(rule));
            for (variation, variant, reason) in self.served(&rule.serve, &reason) {
                add(Place::Rule(rule.id.to_string()), variation, variant.as_deref(), &reason);
            }
        }
        let fallthrough = match &self.state.fallthrough {
            Some(serve) => self.served(serve, plain),
            None => Vec::new(),
        };
        for (variation, variant, reason) in &fallthrough {
            add(Place::Fallthrough, variation, variant.as_deref(), reason);
        }
        // Who is outside a share, or has no unit, is served the off variation by no bucket.
        if let Some(off) = self.flag.variation(&self.flag.off_variation)
            && fallthrough.iter().all(|(variation, ..)| variation.key != off.key)
        {
            add(Place::Fallthrough, off, None, plain);
        }
        FlagView { name: feature_name(self.flag).to_owned(), texts, runs: self.runs().map(run_texts).collect() }
    }

    /// What a place may serve, with variant and reason.
    fn served(&self, serve: &Serve, otherwise: &str) -> Vec<(&Variation, Option<String>, String)> {
        let control = control_of(self.flag, serve);
        let shares: Vec<(&str, u32)> = match serve {
            Serve::Variation(key) => {
                return self.flag.variation(key).map(|it| (it, None, otherwise.to_owned())).into_iter().collect();
            }
            Serve::Ramp(ramp) => vec![(&ramp.treatment, ramp.share.parts()), (&ramp.control, 0)],
            Serve::Split(split) => {
                let mut shares: Vec<(&str, u32)> = Vec::new();
                for range in &split.ranges {
                    match shares.iter_mut().find(|(key, _)| *key == range.variation) {
                        Some((_, parts)) => *parts += range.parts(),
                        None => shares.push((&range.variation, range.parts())),
                    }
                }
                shares
            }
        };
        let answer = |(key, parts): (&str, u32)| {
            let variation = self.flag.variation(key)?;
            if control == Some(key) {
                let variant = if self.flag.dialect == Dialect::Flagsmith { CONTROL } else { key };
                return Some((variation, Some(variant.to_owned()), otherwise.to_owned()));
            }
            // As a float, which is how documents carry it and how their engines print it.
            let weight = f64::from(parts) / 1_000.0;
            Some((variation, Some(key.to_owned()), format!("SPLIT; weight={weight:?}")))
        };
        shares.into_iter().filter_map(answer).collect()
    }

    fn name_of(&self, rule: &Rule) -> String {
        match &rule.when {
            Condition::Segment(key) => {
                let segment = self.segments.get(key.as_str());
                segment.and_then(|it| it.name.clone()).unwrap_or_else(|| key.to_string())
            }
            _ => rule.id.to_string(),
        }
    }

    fn runs(&self) -> impl Iterator<Item = &RunRef> {
        let serves = self.state.rules.iter().map(|rule| &rule.serve).chain(&self.state.fallthrough);
        serves.filter(|_| self.state.enabled).filter_map(run_of)
    }

    /// The flag for nobody in particular: where identities are divided, what those get who get nothing new.
    pub(super) fn without_identity(&self, evaluation: &Evaluation<'_, '_>) -> String {
        let divided = evaluation.missing_unit.is_some() && evaluation.rule.is_none();
        let fallthrough = self.state.fallthrough.as_ref();
        let control = fallthrough.filter(|_| divided).and_then(|serve| control_of(self.flag, serve));
        let key = control.or(evaluation.variation).unwrap_or_default();
        let Some(variation) = self.flag.variation(key) else { return String::new() };
        let mut json = self.json(variation, !Place::Off.is_of(evaluation), None, "STATIC");
        json.push('}');
        json
    }

    fn json(&self, variation: &Variation, is_on: bool, variant: Option<&str>, reason: &str) -> String {
        let is_true = self.flag.kind != FlagKind::Boolean || variation.value == true;
        let mut text = json!({
            "feature": {"id": self.number, "name": feature_name(self.flag), "type": self.feature_type()},
            "enabled": is_on && variation.enabled && is_true,
            "feature_state_value": feature_value(self.flag.kind, &variation.value),
            "variant": variant,
            "reason": reason,
        })
        .to_string();
        text.pop();
        text
    }

    fn feature_type(&self) -> &'static str {
        let divides = |serve: &Serve| !matches!(serve, Serve::Variation(_));
        let any = self.state.rules.iter().map(|rule| &rule.serve).chain(&self.state.fallthrough).any(divides);
        if any { "MULTIVARIATE" } else { "STANDARD" }
    }
}

fn run_of(serve: &Serve) -> Option<&RunRef> {
    match serve {
        Serve::Ramp(ramp) => ramp.run.as_ref(),
        Serve::Split(split) => split.run.as_ref(),
        Serve::Variation(_) => None,
    }
}

fn run_texts(run: &RunRef) -> RunTexts {
    let text = |inside: bool| {
        let experiment = json!({"id": run.number, "name": run.key, "in_experiment": inside});
        format!(",\"metadata\":{}}}", json!({ "experiment": experiment }))
    };
    RunTexts { number: run.number, inside: text(true), outside: text(false) }
}
