//! Checks a declared body at the door: what is stored is valid, complete and in its typed form.

mod cost;
mod endpoint;
mod experiment;
mod flag;
mod flag_state;

use std::collections::HashMap;
use std::sync::Arc;

use liftgate_domain::{Environment, Key, Metric, Resource, ResourceKind, Scope, StoreError};
use liftgate_evaluator::{Problem, Ruleset, RulesetSource, Segment, validate_segment};
use liftgate_scheduler::{Policy, lint};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::edit::{Lookup, Put};
use crate::{app::App, problem::ApiError};

/// A body that may be stored.
pub struct Checked {
    /// In its typed form, with defaults filled in.
    pub body: Value,
    /// A secret made for it, to be shown once.
    pub secret: Option<String>,
}

impl Checked {
    fn plain<T: Serialize>(typed: &T) -> Self {
        let body = serde_json::to_value(typed).expect("bodies have string keys and finite numbers");
        Self { body, secret: None }
    }
}

/// A project's body.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Project {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
}

type Verdict = Result<Checked, Vec<Problem>>;

/// Checks a body of any kind; the inner error lists every problem with the path of its field.
pub async fn check(app: &App, lookup: &Lookup<'_>, put: &Put, current: Option<&Resource>) -> Result<Verdict, ApiError> {
    let spec = if put.spec.is_null() { Value::Object(Default::default()) } else { put.spec.clone() };
    match put.kind {
        ResourceKind::Project => Ok(decode::<Project>(spec).map(|it| Checked::plain(&it))),
        ResourceKind::Environment => Ok(environment(app, spec, current)),
        ResourceKind::Segment => Ok(segment(lookup, put, spec).await?),
        ResourceKind::Metric => Ok(metric(spec)),
        ResourceKind::Policy => Ok(policy(lookup, put, spec).await?),
        ResourceKind::Flag => flag::check(lookup, put, spec, current).await,
        ResourceKind::FlagState => flag_state::check(lookup, put, spec, current).await,
        ResourceKind::Experiment => Ok(experiment::check(lookup, put, spec, current).await?),
        ResourceKind::Endpoint => Ok(endpoint::check(app, spec, current)),
    }
}

/// Decodes a body; the problem carries the path of the field.
fn decode<T: DeserializeOwned>(spec: Value) -> Result<T, Vec<Problem>> {
    serde_path_to_error::deserialize(spec).map_err(|error| {
        let path = error.path().to_string();
        vec![problem(if path == "." { "spec" } else { &path }, error.inner().to_string())]
    })
}

fn problem(path: &str, message: impl Into<String>) -> Problem {
    Problem { path: path.to_owned(), message: message.into() }
}

/// Puts the key of the path into a body whose typed form carries it; a differing one is a problem.
fn with_key(mut spec: Value, key: &Key) -> Result<Value, Vec<Problem>> {
    let Some(fields) = spec.as_object_mut() else {
        return Err(vec![problem("spec", "must be an object")]);
    };
    match fields.get("key") {
        Some(given) if given.as_str() != Some(key.as_ref()) => {
            return Err(vec![problem("key", format!("differs from `{key}`, under which it is declared"))]);
        }
        _ => fields.insert("key".to_owned(), key.to_string().into()),
    };
    Ok(spec)
}

/// The hash key is made once: whatever identity keys are hashed with must never move.
fn environment(app: &App, spec: Value, current: Option<&Resource>) -> Verdict {
    let mut environment: Environment = decode(spec)?;
    let stored = current.and_then(|it| it.body["hash_key"].as_str());
    match stored {
        Some(stored) if environment.hash_key.is_empty() => environment.hash_key = stored.to_owned(),
        Some(stored) if environment.hash_key != stored => {
            return Err(vec![problem("hash_key", "cannot be changed: it would move every unit")]);
        }
        Some(_) => {}
        None if environment.hash_key.is_empty() => environment.hash_key = super::keys::random_key(app, "env_"),
        None => refuse_hash_key(&environment.hash_key)?,
    }
    Ok(Checked::plain(&environment))
}

/// A hash key that is brought along is also the first client key, which anybody may know.
fn refuse_hash_key(hash_key: &str) -> Result<(), Vec<Problem>> {
    const BYTES_MAX: usize = 128;
    if hash_key.starts_with("ser.") {
        return Err(vec![problem("hash_key", "begins with `ser.`, as secrets do; it is public: use a client key")]);
    }
    if hash_key.len() > BYTES_MAX || !hash_key.bytes().all(|byte| byte.is_ascii_graphic()) {
        let message = format!("must be 1 to {BYTES_MAX} visible ASCII characters, as headers and paths carry it");
        return Err(vec![problem("hash_key", message)]);
    }
    Ok(())
}

/// A segment is valid among the others: what it refers to exists, and no chain of references closes.
async fn segment(lookup: &Lookup<'_>, put: &Put, spec: Value) -> Result<Verdict, StoreError> {
    let segment: Segment = match with_key(spec, &put.key).and_then(decode) {
        Ok(segment) => segment,
        Err(problems) => return Ok(Err(problems)),
    };
    let mut known = segments_of(lookup, &put.scope).await?;
    known.insert(put.key.clone(), segment.clone());
    let problems = cost::check("when", &segment.when, &known);
    if !problems.is_empty() {
        return Ok(Err(problems));
    }
    let mut problems = validate_segment(&segment);
    let segments = known.into_values().map(Arc::new).collect();
    let ruleset = Ruleset::compile(RulesetSource { segments, ..RulesetSource::default() });
    let own = format!("segments.{}.", put.key);
    problems.extend(ruleset.problems().iter().filter_map(|found| {
        let path = found.path.strip_prefix(&own)?;
        Some(problem(path, found.message.clone()))
    }));
    problems.dedup();
    Ok(if problems.is_empty() { Ok(Checked::plain(&segment)) } else { Err(problems) })
}

fn metric(spec: Value) -> Verdict {
    let metric: Metric = decode(spec)?;
    let problems: Vec<_> = metric.problems().into_iter().map(|(field, message)| problem(field, message)).collect();
    if problems.is_empty() { Ok(Checked::plain(&metric)) } else { Err(problems) }
}

/// Every segment of a project, those of this request included.
async fn segments_of(lookup: &Lookup<'_>, project: &Scope) -> Result<HashMap<Key, Segment>, StoreError> {
    let bodies = lookup.bodies(ResourceKind::Segment, project).await?;
    Ok(bodies.into_iter().filter_map(|(key, body)| Some((key, serde_json::from_value(body).ok()?))).collect())
}

async fn policy(lookup: &Lookup<'_>, put: &Put, spec: Value) -> Result<Verdict, StoreError> {
    let policy: Policy = match decode(spec) {
        Ok(policy) => policy,
        Err(problems) => return Ok(Err(problems)),
    };
    let metrics: HashMap<Key, Metric> = lookup
        .bodies(ResourceKind::Metric, &put.scope)
        .await?
        .into_iter()
        .filter_map(|(key, body)| Some((key, serde_json::from_value(body).ok()?)))
        .collect();
    let problems = lint(&policy, &|key: &Key| metrics.get(key).cloned());
    Ok(if problems.is_empty() { Ok(Checked::plain(&policy)) } else { Err(problems) })
}
