//! Starting and stopping an experiment: its split on the flag, its run, and its definition, in one change.

use liftgate_domain::{
    Actor, Applied, Change, ChangeKind, Environment, EventDraft, Expected, Experiment, Id, Key, Mutation, PinnedMetric,
    Resource, ResourceKind, Run, Scope,
};
use liftgate_evaluator::{
    Condition, Design, Flag, FlagState, Rule, RunHistory, RunKind, RunRef, Serve, Split, StageEntry,
    ranges_for_weights, validate,
};
use serde_json::json;

use super::edit::owned;
use crate::{app::App, problem::ApiError};

/// The rule that an experiment owns on its flag.
fn rule_of(experiment: &Key) -> Result<Key, ApiError> {
    Key::new(&format!("experiment-{experiment}"))
        .map_err(|error| ApiError::invalid_field("the experiment", "key", error.to_string()))
}

/// Starts it unless it has a run already.
pub async fn start_if_new(app: &App, scope: &Scope, key: &Key, actor: Actor) -> Result<bool, ApiError> {
    let (_, experiment) = find(app, scope, key).await?;
    if experiment.run.is_some() {
        return Ok(false);
    }
    start(app, scope, key, actor).await.map(|_| true)
}

/// Puts the split on the flag, in front of its other rules, and begins the run.
pub async fn start(app: &App, scope: &Scope, key: &Key, actor: Actor) -> Result<Applied, ApiError> {
    let (resource, mut experiment) = find(app, scope, key).await?;
    if experiment.run.is_some() {
        return Err(conflict(format!("experiment `{key}` has started already")));
    }
    let now = app.catalog.now().await?;
    let environment = app
        .catalog
        .resource(ResourceKind::Environment, &scope.to_project(), &environment_key(scope)?)
        .await?
        .ok_or_else(|| ApiError::not_found(format!("environment `{scope}`")))?;
    let (state_resource, mut state) = state_of(app, scope, &experiment.flag).await?;
    refuse_if_taken(app, scope, &experiment, state_resource.is_some() && !state.enabled).await?;
    let rule_id = rule_of(key)?;
    let number = app.catalog.reserve_number("run").await?;
    let weights: Vec<(String, u32)> =
        experiment.arms.iter().filter(|(_, w)| **w > 0).map(|(k, w)| (k.clone(), *w)).collect();
    let ranges = ranges_for_weights(&weights, &[])
        .map_err(|error| ApiError::invalid_field("the experiment", "arms", error.to_string()))?;
    let flag = flag_of(app, scope, &experiment).await?;
    let hash_key = environment.decode::<Environment>()?.hash_key;
    let salt = flag.dialect.salt(&format!("{}/{rule_id}", experiment.flag), number, &hash_key);
    state.enabled = true;
    state.rules.retain(|rule| rule.id != rule_id);
    state.rules.insert(
        0,
        Rule {
            id: rule_id,
            description: Some(format!("split of experiment `{key}`")),
            when: Condition::All(Vec::new()),
            serve: Serve::Split(Split {
                unit: experiment.unit.clone(),
                salt: salt.clone(),
                share: experiment.coverage,
                ranges: ranges.clone(),
                run: Some(RunRef { number, kind: RunKind::Experiment, key: key.clone(), stage: 0 }),
            }),
        },
    );
    let problems = validate(&flag, Some(&state));
    if !problems.is_empty() {
        return Err(ApiError::invalid("the experiment", problems.into_iter().map(Into::into).collect()));
    }
    let run = Run {
        scope: scope.clone(),
        environment: environment.number,
        flag: experiment.flag.clone(),
        attempt: 1,
        history: RunHistory {
            number,
            kind: RunKind::Experiment,
            key: key.clone(),
            unit: experiment.unit.clone(),
            salt,
            dialect: flag.dialect,
            design: Design::Split { ranges },
            stages: vec![StageEntry { stage: 0, share: experiment.coverage, since: now }],
            ended_at: None,
        },
    };
    experiment.pinned = pin(app, scope, &experiment).await?;
    (experiment.run, experiment.started_at) = (Some(number), Some(now));
    commit(app, scope, key, actor, "experiment.started", resource, experiment, state_resource, state, run).await
}

/// The experiment's metrics as they are now.
async fn pin(app: &App, scope: &Scope, experiment: &Experiment) -> Result<Vec<PinnedMetric>, ApiError> {
    let mut pinned: Vec<PinnedMetric> = Vec::new();
    for (_, key) in experiment.metrics() {
        if pinned.iter().any(|known| known.key == *key) {
            continue;
        }
        let stored = app.catalog.resource(ResourceKind::Metric, &scope.to_project(), key).await?;
        let stored = stored.ok_or_else(|| ApiError::not_found(format!("metric `{key}`")))?;
        pinned.push(PinnedMetric { key: key.clone(), revision: stored.revision, metric: stored.decode()? });
    }
    Ok(pinned)
}

/// Takes the split off the flag and ends the run; the results stay.
pub async fn stop(app: &App, scope: &Scope, key: &Key, actor: Actor) -> Result<Applied, ApiError> {
    let (resource, mut experiment) = find(app, scope, key).await?;
    let Some(number) = experiment.run.filter(|_| experiment.stopped_at.is_none()) else {
        return Err(conflict(format!("experiment `{key}` is not running")));
    };
    let now = app.catalog.now().await?;
    let (state_resource, mut state) = state_of(app, scope, &experiment.flag).await?;
    let rule_id = rule_of(key)?;
    state.rules.retain(|rule| rule.id != rule_id);
    let mut run = app.catalog.run(scope, number).await?.ok_or_else(|| ApiError::not_found(format!("run {number}")))?;
    run.history.ended_at = Some(now);
    experiment.stopped_at = Some(now);
    commit(app, scope, key, actor, "experiment.stopped", resource, experiment, state_resource, state, run).await
}

#[allow(clippy::too_many_arguments, reason = "the parts of one change, each of its own type")]
async fn commit(
    app: &App,
    scope: &Scope,
    key: &Key,
    actor: Actor,
    event: &str,
    resource: Resource,
    experiment: Experiment,
    state_resource: Option<Resource>,
    state: FlagState,
    run: Run,
) -> Result<Applied, ApiError> {
    let now = app.catalog.now().await?;
    let body = |typed: Result<serde_json::Value, serde_json::Error>| {
        typed.expect("bodies have string keys and finite numbers")
    };
    let data = json!({"experiment": key, "flag": experiment.flag, "run": run.number(), "arms": experiment.arms});
    let change = Change {
        id: Id::new(now, &*app.entropy),
        scope: scope.clone(),
        actor,
        reason: None,
        kind: ChangeKind::Edit,
        mutations: vec![
            Mutation::PutResource {
                kind: ResourceKind::FlagState,
                scope: scope.clone(),
                key: experiment.flag.clone(),
                body: body(serde_json::to_value(&state)),
                expected: state_resource.map_or(Expected::Absent, |it| Expected::Revision(it.revision)),
            },
            Mutation::PutRun(Box::new(run)),
            Mutation::PutResource {
                kind: ResourceKind::Experiment,
                scope: scope.clone(),
                key: key.clone(),
                body: body(serde_json::to_value(&experiment)),
                expected: Expected::Revision(resource.revision),
            },
        ],
        events: vec![EventDraft { kind: event.to_owned(), scope: scope.clone(), subject: key.to_string(), data }],
    };
    app.apply(change).await
}

/// One flag has one owner: a rollout that moves it would lose its units to the split. And a flag that somebody switched
/// off is not switched on again by the way.
async fn refuse_if_taken(app: &App, scope: &Scope, experiment: &Experiment, disabled: bool) -> Result<(), ApiError> {
    let flag = &experiment.flag;
    if disabled {
        return Err(conflict(format!("flag `{flag}` is disabled in `{scope}`")).next("enable the flag first"));
    }
    let rollouts = app.catalog.rollouts(scope).await?;
    match rollouts.iter().find(|it| it.scope == *scope && it.flag == *flag && it.status.is_active()) {
        Some(rollout) => Err(owned(&rollout.key, &format!("it moves flag `{flag}`"))),
        None => Ok(()),
    }
}

async fn flag_of(app: &App, scope: &Scope, experiment: &Experiment) -> Result<Flag, ApiError> {
    let stored = app.catalog.resource(ResourceKind::Flag, &scope.to_project(), &experiment.flag).await?;
    let live = stored.filter(|it| !it.archived);
    Ok(live.ok_or_else(|| ApiError::not_found(format!("flag `{}`", experiment.flag)))?.decode()?)
}

async fn find(app: &App, scope: &Scope, key: &Key) -> Result<(Resource, Experiment), ApiError> {
    let resource = app
        .catalog
        .resource(ResourceKind::Experiment, scope, key)
        .await?
        .filter(|resource| !resource.archived)
        .ok_or_else(|| ApiError::not_found(format!("experiment `{key}` in `{scope}`")))?;
    let experiment = resource.decode()?;
    Ok((resource, experiment))
}

async fn state_of(app: &App, scope: &Scope, flag: &Key) -> Result<(Option<Resource>, FlagState), ApiError> {
    let resource = app.catalog.resource(ResourceKind::FlagState, scope, flag).await?.filter(|it| !it.archived);
    let state = resource.as_ref().map(Resource::decode).transpose()?.unwrap_or_default();
    Ok((resource, state))
}

fn environment_key(scope: &Scope) -> Result<Key, ApiError> {
    scope.environment.clone().ok_or_else(|| ApiError::not_found(format!("an environment in `{scope}`")))
}

fn conflict(detail: String) -> ApiError {
    ApiError::new(axum::http::StatusCode::CONFLICT, "conflict", detail)
}
