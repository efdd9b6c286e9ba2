//! What a flag serves in an environment. Weights become ranges that move the fewest units, salts are stored so that
//! nothing ever moves by renaming, and rules that a rollout or experiment owns stay as they are.

use std::collections::HashMap;
use std::sync::Arc;

use liftgate_domain::{Resource, ResourceKind};
use liftgate_evaluator::{
    CONTROL, Flag, FlagSource, FlagState, Key, Problem, Range, Rule, Ruleset, RulesetSource, RunRef, Segment, Serve,
    ranges_for_weights, validate,
};
use serde_json::{Map, Value};

use super::{Checked, Verdict, cost, decode, problem, segments_of};
use crate::{
    manage::edit::{Lookup, Put, owned},
    problem::ApiError,
};

/// The place of what is served when no rule is.
const FALLTHROUGH: &str = "fallthrough";

pub(super) async fn check(
    lookup: &Lookup<'_>,
    put: &Put,
    mut spec: Value,
    current: Option<&Resource>,
) -> Result<Verdict, ApiError> {
    let Some(flag) = lookup.body(ResourceKind::Flag, &put.scope.to_project(), &put.key).await? else {
        return Err(ApiError::not_found(format!("flag `{}` in project `{}`", put.key, put.scope.project_column()))
            .next("declare the flag first, or in the same request"));
    };
    let flag: Flag = match decode(flag) {
        Ok(flag) => flag,
        Err(problems) => return Ok(Err(problems)),
    };
    let before: Option<FlagState> = current.map(Resource::decode).transpose()?;
    let mut problems = Vec::new();
    let salts = Salts::of(lookup, put, &flag, &spec, before.as_ref()).await?;
    complete_rules(&mut spec, &flag, &salts, before.as_ref(), &mut problems);
    if !problems.is_empty() {
        return Ok(Err(problems));
    }
    let mut state: FlagState = match decode(spec) {
        Ok(state) => state,
        Err(problems) => return Ok(Err(problems)),
    };
    keep_owned_rules(lookup, put, before.as_ref(), &mut state).await?;
    let segments = segments_of(lookup, &put.scope.to_project()).await?;
    let mut problems = bad_conditions(&state, &segments);
    if problems.is_empty() {
        problems.extend(invented_runs(before.as_ref(), &state).chain(validate(&flag, Some(&state))));
    }
    if problems.is_empty() && !state.prerequisites.is_empty() {
        problems.extend(bad_prerequisites(lookup, put, &flag, &state, segments).await?);
    }
    Ok(if problems.is_empty() { Ok(Checked::plain(&state)) } else { Err(problems) })
}

/// Salts for the splits and ramps that have none, under the names of their places.
struct Salts(HashMap<String, String>);

impl Salts {
    /// Takes a number for each new salt that needs one.
    async fn of(
        lookup: &Lookup<'_>,
        put: &Put,
        flag: &Flag,
        spec: &Value,
        before: Option<&FlagState>,
    ) -> Result<Self, ApiError> {
        let mut salts = HashMap::new();
        if flag.dialect.is_native() {
            return Ok(Self(salts));
        }
        let environment =
            lookup.body(ResourceKind::Environment, &put.scope.to_project(), &environment_of(put)?).await?;
        let hash_key = environment.map(|body| body["hash_key"].as_str().unwrap_or_default().to_owned());
        for (place, serve, old) in places(spec, before) {
            let needs = ["split", "ramp"].iter().any(|kind| serve.get(kind).is_some_and(|it| it.get("salt").is_none()));
            if needs && salt_of(old).is_none() {
                let number = lookup.catalog().reserve_number("run").await?;
                let salt = flag.dialect.salt(&place, number, hash_key.as_deref().unwrap_or_default());
                salts.insert(place, salt);
            }
        }
        Ok(Self(salts))
    }
}

fn environment_of(put: &Put) -> Result<Key, ApiError> {
    let missing = || ApiError::not_found(format!("environment `{}`", put.scope));
    put.scope.environment.clone().ok_or_else(missing)
}

/// What serves, with the name of its place and what stood there before.
fn places<'s>(spec: &'s Value, before: Option<&'s FlagState>) -> Vec<(String, &'s Value, Option<&'s Serve>)> {
    let rules = spec.get("rules").and_then(Value::as_array).into_iter().flatten().filter_map(|rule| {
        let id = rule.get("id").and_then(Value::as_str).unwrap_or_default();
        Some((id.to_owned(), rule.get("serve")?, old_serve(before, id)))
    });
    let old = before.and_then(|state| state.fallthrough.as_ref());
    let fallthrough = spec.get("fallthrough").map(|serve| (FALLTHROUGH.to_owned(), serve, old));
    rules.chain(fallthrough).collect()
}

fn old_serve<'s>(before: Option<&'s FlagState>, id: &str) -> Option<&'s Serve> {
    before.and_then(|state| state.rules.iter().find(|old| old.id.as_ref() == id)).map(|old| &old.serve)
}

fn salt_of(serve: Option<&Serve>) -> Option<&str> {
    match serve {
        Some(Serve::Split(split)) => Some(&split.salt),
        Some(Serve::Ramp(ramp)) => Some(&ramp.salt),
        _ => None,
    }
}

/// Fills in salts and turns `weights` into `ranges`.
fn complete_rules(
    spec: &mut Value,
    flag: &Flag,
    salts: &Salts,
    before: Option<&FlagState>,
    problems: &mut Vec<Problem>,
) {
    let completion = |place: &str| {
        let salt = salts.0.get(place).cloned().unwrap_or_else(|| format!("{}/{place}", flag.key));
        Completion { flag, salt }
    };
    if let Some(rules) = spec.get_mut("rules").and_then(Value::as_array_mut) {
        for (index, rule) in rules.iter_mut().enumerate() {
            let id = rule.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
            let old = old_serve(before, &id);
            if let Some(serve) = rule.get_mut("serve") {
                completion(&id).complete(serve, &format!("rules[{index}].serve"), old, problems);
            }
        }
    }
    if let Some(serve) = spec.get_mut(FALLTHROUGH).filter(|serve| serve.is_object()) {
        let old = before.and_then(|state| state.fallthrough.as_ref());
        completion(FALLTHROUGH).complete(serve, FALLTHROUGH, old, problems);
    }
}

/// What a split or ramp is completed with.
struct Completion<'f> {
    flag: &'f Flag,
    salt: String,
}

impl Completion<'_> {
    fn complete(&self, serve: &mut Value, path: &str, old: Option<&Serve>, problems: &mut Vec<Problem>) {
        for kind in ["split", "ramp"] {
            let Some(fields) = serve.get_mut(kind).and_then(Value::as_object_mut) else { continue };
            fields.entry("salt").or_insert_with(|| salt_of(old).unwrap_or(&self.salt).into());
            if let Some(weights) = fields.remove("weights") {
                match weights_of(&weights).and_then(|weights| self.ranges(weights, old)) {
                    Ok(ranges) => {
                        let ranges = serde_json::to_value(ranges).expect("ranges are plain numbers and names");
                        fields.insert("ranges".to_owned(), ranges);
                    }
                    Err(message) => problems.push(problem(&format!("{path}.{kind}.weights"), message)),
                }
            }
        }
    }

    fn ranges(&self, mut weights: Vec<(String, u32)>, old: Option<&Serve>) -> Result<Vec<Range>, String> {
        let old: &[Range] = match old {
            // In the other system an edit moves every range behind it, and its local evaluation expects just that.
            Some(Serve::Split(split)) if self.flag.dialect.is_native() => &split.ranges,
            _ => &[],
        };
        if !self.flag.dialect.is_native() {
            let place = |key: &str| self.flag.variations.iter().position(|variation| variation.key == key);
            weights.sort_by_key(|(key, _)| (key == CONTROL, place(key)));
        }
        ranges_for_weights(&weights, old).map_err(|error| error.to_string())
    }
}

fn weights_of(value: &Value) -> Result<Vec<(String, u32)>, String> {
    let form = "must be an object of whole numbers by variation, such as `{on: 50, off: 50}`";
    let fields: &Map<String, Value> = value.as_object().ok_or(form)?;
    fields
        .iter()
        .map(|(variation, weight)| {
            let weight = weight.as_u64().and_then(|weight| u32::try_from(weight).ok()).ok_or(form)?;
            Ok((variation.clone(), weight))
        })
        .collect()
}

/// A rule with a run that goes on stays exactly as it is: kept in place when left out, refused when edited.
async fn keep_owned_rules(
    lookup: &Lookup<'_>,
    put: &Put,
    before: Option<&FlagState>,
    state: &mut FlagState,
) -> Result<(), ApiError> {
    let Some(before) = before else { return Ok(()) };
    let active = lookup.catalog().rollouts(&put.scope).await?;
    for (position, rule) in before.rules.iter().enumerate() {
        let rollout = active.iter().find(|it| it.status.is_active() && it.flag == put.key && it.rule == rule.id);
        let owner = match (rollout, run_of(rule)) {
            (Some(rollout), _) => &rollout.key,
            (None, Some(run)) => &run.key,
            (None, None) => continue,
        };
        // Disabling is always allowed, with whatever reading of the rule the caller had.
        if !state.enabled {
            state.rules.retain(|it| it.id != rule.id);
        }
        match state.rules.iter().find(|it| it.id == rule.id) {
            Some(same) if same == rule => {}
            Some(_) => return Err(owned(owner, &format!("rule `{}` cannot be edited while it runs", rule.id))),
            None => state.rules.insert(position.min(state.rules.len()), rule.clone()),
        }
    }
    Ok(())
}

fn run_of(rule: &Rule) -> Option<&RunRef> {
    match &rule.serve {
        Serve::Split(split) => split.run.as_ref(),
        Serve::Ramp(ramp) => ramp.run.as_ref(),
        Serve::Variation(_) => None,
    }
}

/// Prerequisites that name flags or variations that are not there, or close a circle among the flags of the environment.
async fn bad_prerequisites(
    lookup: &Lookup<'_>,
    put: &Put,
    flag: &Flag,
    state: &FlagState,
    segments: HashMap<Key, Segment>,
) -> Result<Vec<Problem>, ApiError> {
    let mut states = lookup.bodies(ResourceKind::FlagState, &put.scope).await?;
    let mut flags = vec![Arc::new(FlagSource { flag: flag.clone(), state: state.clone(), revision: 1 })];
    for (key, body) in lookup.bodies(ResourceKind::Flag, &put.scope.to_project()).await? {
        let state = states.remove(&key).and_then(|body| serde_json::from_value(body).ok()).unwrap_or_default();
        if let Some(flag) = serde_json::from_value(body).ok().filter(|_| key != put.key) {
            flags.push(Arc::new(FlagSource { flag, state, revision: 1 }));
        }
    }
    let segments = segments.into_values().map(Arc::new).collect();
    let ruleset = Ruleset::compile(RulesetSource { flags, segments, ..RulesetSource::default() });
    let own = format!("flags.{}.", put.key);
    let found = ruleset.problems().iter().filter_map(|found| {
        let path = found.path.strip_prefix(&own).filter(|path| path.starts_with("prerequisites"))?;
        Some(problem(path, found.message.clone()))
    });
    Ok(found.collect())
}

/// Conditions that name segments that are not there, or cost too much.
fn bad_conditions(state: &FlagState, segments: &HashMap<Key, Segment>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, rule) in state.rules.iter().enumerate() {
        let path = format!("rules[{index}].when");
        for segment in rule.when.segments().into_iter().filter(|segment| !segments.contains_key(*segment)) {
            let message = format!("segment `{segment}` not found; declare it first, or in the same request");
            problems.push(problem(&path, message));
        }
        problems.extend(cost::check(&path, &rule.when, segments));
    }
    problems
}

/// Runs are given out by the server alone.
fn invented_runs<'a>(before: Option<&'a FlagState>, state: &'a FlagState) -> impl Iterator<Item = Problem> + 'a {
    state.rules.iter().enumerate().filter_map(move |(index, rule)| {
        let run = run_of(rule)?;
        let known = before.and_then(|state| state.rules.iter().find(|old| old.id == rule.id)).and_then(run_of);
        (known != Some(run)).then(|| {
            problem(
                &format!("rules[{index}].serve.run"),
                "is given out by the server when a rollout or experiment starts",
            )
        })
    })
}
