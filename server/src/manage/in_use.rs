//! What may not be archived because something that is live stands on it.

use axum::http::StatusCode;
use liftgate_domain::{Experiment, Key, Resource, ResourceKind, Scope};
use liftgate_evaluator::{FlagState, Segment};

use super::edit::all_resources;
use crate::{app::App, problem::ApiError};

/// Refuses to archive a thing that a running experiment or a live rule stands on.
pub async fn refuse_if_used(app: &App, kind: ResourceKind, scope: &Scope, key: &Key) -> Result<(), ApiError> {
    for environment in environments_touched(app, kind, scope, key).await? {
        for stored in all_resources(&*app.catalog, ResourceKind::Experiment, &environment).await? {
            let experiment: Experiment = stored.decode()?;
            let concerned = match kind {
                ResourceKind::Experiment => stored.key == *key,
                ResourceKind::Flag | ResourceKind::FlagState => experiment.flag == *key,
                ResourceKind::Environment | ResourceKind::Project => true,
                _ => false,
            };
            if concerned && experiment.run.is_some() && experiment.stopped_at.is_none() {
                let what = format!("experiment `{}` is running in `{environment}`", stored.key);
                return Err(ApiError::new(StatusCode::CONFLICT, "experiment_running", what).next("stop it first"));
            }
        }
        if kind == ResourceKind::Segment {
            for stored in all_resources(&*app.catalog, ResourceKind::FlagState, &environment).await? {
                let state: FlagState = stored.decode()?;
                if state.rules.iter().any(|rule| rule.when.segments().contains(&key)) {
                    return Err(in_use(&stored, key));
                }
            }
        }
    }
    if kind == ResourceKind::Flag {
        refuse_if_needed(app, scope, key).await?;
    }
    if kind == ResourceKind::Segment {
        for stored in all_resources(&*app.catalog, ResourceKind::Segment, scope).await? {
            let segment: Segment = stored.decode()?;
            if stored.key != *key && segment.when.segments().contains(&key) {
                return Err(in_use(&stored, key));
            }
        }
    }
    Ok(())
}

/// Flags that need this one would all be broken.
async fn refuse_if_needed(app: &App, project: &Scope, flag: &Key) -> Result<(), ApiError> {
    for environment in environments_touched(app, ResourceKind::Flag, project, flag).await? {
        for stored in all_resources(&*app.catalog, ResourceKind::FlagState, &environment).await? {
            let state: FlagState = stored.decode()?;
            if stored.key != *flag && state.prerequisites.iter().any(|it| it.flag == *flag) {
                let what = format!("flag `{flag}` is a prerequisite of flag `{}` in `{environment}`", stored.key);
                let error = ApiError::new(StatusCode::CONFLICT, "flag_in_use", what);
                return Err(error.next("take it out of the prerequisites first"));
            }
        }
    }
    Ok(())
}

fn in_use(user: &Resource, segment: &Key) -> ApiError {
    let what = format!("segment `{segment}` is used by {} `{}` of `{}`", user.kind.as_str(), user.key, user.scope);
    ApiError::new(StatusCode::CONFLICT, "segment_in_use", what).next("take it out of the rules first")
}

async fn environments_touched(app: &App, kind: ResourceKind, scope: &Scope, key: &Key) -> Result<Vec<Scope>, ApiError> {
    let project = match kind {
        ResourceKind::FlagState | ResourceKind::Experiment => return Ok(vec![scope.clone()]),
        ResourceKind::Environment => return Ok(vec![scope.with_environment(key.clone())]),
        ResourceKind::Flag | ResourceKind::Segment => scope.clone(),
        ResourceKind::Project => Scope { project: Some(key.clone()), ..scope.clone() },
        _ => return Ok(Vec::new()),
    };
    let environments = all_resources(&*app.catalog, ResourceKind::Environment, &project).await?;
    Ok(environments.into_iter().map(|it| project.with_environment(it.key)).collect())
}
