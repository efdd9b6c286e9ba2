//! One environment as evaluation sees it, compiled from what is declared. What did not change is taken over from the
//! snapshot before.

use std::{collections::HashSet, sync::OnceLock};

use bytes::Bytes;
use liftgate_domain::Scope;
use liftgate_evaluator::{Design, FlagState, Ruleset, RulesetSource, Serve};

use super::Declared;
use crate::http::{
    flag_socket::Updates,
    flagsmith,
    ofrep::{self, Fragments},
};

/// One environment at one revision.
#[derive(Debug)]
pub struct Snapshot {
    /// Which environment.
    pub scope: Scope,
    /// What it was compiled from, with the numbers and runs of flags.
    pub declared: Declared,
    /// The same as evaluation knows it.
    pub source: RulesetSource,
    /// What is evaluated.
    pub ruleset: Ruleset,
    /// What OFREP answers are joined from.
    pub fragments: Fragments,
    /// The same in the words of Flagsmith's protocol.
    pub flagsmith: flagsmith::View,
    /// The document for local evaluation, made when somebody asks.
    pub document: OnceLock<Result<Bytes, Vec<String>>>,
    /// How OFREP's clients hear of changes, as a member of its answers.
    pub event_streams: Box<[u8]>,
    /// What sockets tell of the change that made it.
    pub updates: Updates,
    /// The runs whose rule reaches every unit. Of the others nobody can tell from a unit alone whether it was in.
    reach_everyone: HashSet<u64>,
}

impl Snapshot {
    /// Compiles what is declared. `before` is the environment's last snapshot, of which unchanged parts are taken over.
    pub fn compile(scope: &Scope, declared: Declared, before: Option<&Self>) -> Self {
        let source = declared.source();
        let ruleset = match before {
            Some(before) => before.ruleset.recompile(source.clone()),
            None => Ruleset::compile(source.clone()),
        };
        for problem in ruleset.problems() {
            tracing::warn!(%scope, field = %problem.path, problem = %problem.message, "A flag is broken and answers with an error.");
        }
        let unchanged = match before {
            Some(before) => declared.unchanged_since(&before.declared),
            None => vec![None; declared.flags.len()],
        };
        let kept = |place: usize| Some((before?, unchanged[place]?));
        let reach_everyone = declared.flags.iter().filter_map(|flag| run_for_everyone(&flag.source.state)).collect();
        Self {
            scope: scope.clone(),
            fragments: Fragments::new(scope, &source.flags, &ruleset, |place| {
                kept(place).map(|(before, old)| before.fragments.share(old))
            }),
            flagsmith: flagsmith::View::new(&declared, before.map(|it| &it.flagsmith), |place| {
                kept(place).map(|(before, old)| before.flagsmith.share(old))
            }),
            event_streams: ofrep::stream::member(&declared.environment.hash_key, declared.revision),
            updates: Updates::since(before.map(|it| &it.source)),
            document: OnceLock::new(),
            declared,
            source,
            ruleset,
            reach_everyone,
        }
    }

    /// The number of a flag; 0 when there is none.
    pub fn number_of(&self, flag: &str) -> u64 {
        self.declared.flag(flag).map_or(0, |flag| flag.number)
    }

    /// The key of the flag that is a feature of Flagsmith's protocol.
    pub fn flag_of_feature(&self, feature: &str) -> Option<&str> {
        let place = self.flagsmith.place_of(feature)?;
        self.declared.flags.get(place).map(|flag| flag.key().as_str())
    }

    /// The control variation of a flag's newest run.
    pub fn control_of(&self, flag: &str) -> Option<&str> {
        let source = &self.declared.flag(flag)?.source;
        let serves = source.state.rules.iter().map(|rule| &rule.serve).chain(&source.state.fallthrough);
        serves.filter_map(|serve| flagsmith::terms::control_of(&source.flag, serve)).next()
    }

    /// The variation that a ramp's run rolls out; `None` for experiments and runs that are not known.
    pub fn treatment_of(&self, flag: &str, run: u64) -> Option<&str> {
        let run = self.declared.runs.get(flag)?.iter().find(|known| known.number() == run)?;
        match &run.history.design {
            Design::Ramp { treatment, .. } => Some(treatment),
            Design::Split { .. } => None,
        }
    }

    /// Whether a run's rule takes every unit.
    pub fn reaches_everyone(&self, run: u64) -> bool {
        self.reach_everyone.contains(&run)
    }
}

/// The run of a state whose first rule takes every unit, when no unit is taken out before by an individual target or a
/// prerequisite.
fn run_for_everyone(state: &FlagState) -> Option<u64> {
    let is_open = state.prerequisites.is_empty() && state.targets.is_empty();
    let first = state.rules.first().filter(|rule| rule.when.is_always() && is_open)?;
    match &first.serve {
        Serve::Ramp(ramp) => ramp.run.as_ref(),
        Serve::Split(split) => split.run.as_ref(),
        Serve::Variation(_) => None,
    }
    .map(|run| run.number)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn state(when: serde_json::Value, targets: serde_json::Value) -> FlagState {
        let run = json!({"number": 7, "kind": "rollout", "key": "r", "stage": 0});
        let ramp = json!({"salt": "s", "treatment": "on", "control": "off", "share": "5%", "run": run});
        let rule = json!({"id": "rule", "when": when, "serve": {"ramp": ramp}});
        serde_json::from_value(json!({"enabled": true, "targets": targets, "rules": [rule]})).unwrap()
    }

    #[test]
    fn only_a_run_that_reaches_everyone_gives_arms_to_exposures_of_clients() {
        assert_eq!(run_for_everyone(&state(json!({"all": []}), json!([]))), Some(7));
        let country = json!({"attribute": "country", "op": "equals", "value": "DE"});
        assert_eq!(run_for_everyone(&state(country, json!([]))), None);
        let targets = json!([{"variation": "on", "units": ["u1"]}]);
        assert_eq!(run_for_everyone(&state(json!({"all": []}), targets)), None);
        let mut behind = state(json!({"all": []}), json!([]));
        let first = json!({"id": "first", "serve": {"variation": "off"}});
        behind.rules.insert(0, serde_json::from_value(first).unwrap());
        assert_eq!(run_for_everyone(&behind), None);
        let mut needing = state(json!({"all": []}), json!([]));
        needing.prerequisites = serde_json::from_value(json!([{"flag": "base", "variation": "on"}])).unwrap();
        assert_eq!(run_for_everyone(&needing), None);
    }
}
