//! `POST /manage/v1/apply`: declares anything in one request. Resources are written all or nothing; then rollouts and
//! experiments are started one by one, and a start that fails says so in its own result. Applying the same again changes
//! nothing.

use axum::{
    Json,
    extract::{Request, State},
    http::{StatusCode, header},
};
use liftgate_domain::{Expected, Key, Role, Scope};
use liftgate_evaluator::Condition;
use liftgate_scheduler::command::StartRollout;
use serde::{Deserialize, Serialize};

use super::{
    declaration::{Declaration, Subject},
    edit::{Outcome, Put, put_all},
    rollouts, start_experiment, yaml,
};
use crate::{
    access::Caller,
    app::App,
    body::{self, MANAGE_BYTES_MAX},
    problem::{ApiError, FieldError},
};

/// The most things that one request may declare.
const DECLARATIONS_MAX: usize = 500;

/// What came of it.
#[derive(Debug, Serialize)]
pub struct Answer {
    /// The sequence of the change; absent when nothing was to be written.
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    /// One outcome a declaration, in the order in which they were applied.
    results: Vec<Outcome>,
}

/// The body of a `rollout` declaration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RolloutSpec {
    /// The flag to move.
    pub flag: Key,
    /// The policy to move it by.
    pub policy: Key,
    /// The variation to roll out.
    #[serde(default = "on")]
    pub treatment: String,
    /// The variation to compare it with.
    #[serde(default = "off")]
    pub control: String,
    /// Whom it reaches; everybody when absent.
    #[serde(default)]
    pub when: Option<Condition>,
    /// The rule to take over or to create.
    #[serde(default)]
    pub rule: Option<Key>,
}

fn on() -> String {
    "on".to_owned()
}

fn off() -> String {
    "off".to_owned()
}

impl RolloutSpec {
    /// The command that starts it.
    pub fn command(self, scope: Scope, key: Key) -> StartRollout {
        let everybody = Condition::All(Vec::new());
        StartRollout {
            scope,
            key,
            flag: self.flag,
            policy: self.policy,
            treatment: self.treatment,
            control: self.control,
            when: self.when.unwrap_or(everybody),
            rule: self.rule,
        }
    }
}

/// Applies declarations: resources as one change, then starts what is to be started.
pub async fn apply(State(app): State<App>, caller: Caller, request: Request) -> Result<Json<Answer>, ApiError> {
    let yaml = request
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().windows(4).any(|part| part == b"yaml"));
    caller.may(Role::Editor, caller.scope())?;
    let bytes = body::read(request, MANAGE_BYTES_MAX).await?;
    let declarations = if yaml { from_yaml(&bytes)? } else { from_json(&bytes)? };
    if declarations.len() > DECLARATIONS_MAX {
        return Err(ApiError::invalid_field(
            "the request",
            "body",
            format!("declares more than {DECLARATIONS_MAX} things"),
        ));
    }

    let many = declarations.len() > 1;
    let mut puts = Vec::new();
    let mut rollout_starts = Vec::new();
    let mut experiment_starts = Vec::new();
    let mut problems = Vec::new();
    for (index, mut declaration) in declarations.into_iter().enumerate() {
        let (subject, scope) = match declaration.place() {
            Ok(place) => place,
            Err(error) => {
                problems.push(FieldError { field: format!("[{index}].{}", error.field), ..error });
                continue;
            }
        };
        match subject {
            Subject::Rollout => {
                caller.may(Role::ReleaseManager, &scope)?;
                match serde_json::from_value::<RolloutSpec>(declaration.spec) {
                    Ok(spec) => rollout_starts.push(spec.command(scope, declaration.key)),
                    Err(error) => {
                        problems.push(FieldError { field: format!("[{index}].spec"), message: error.to_string() });
                    }
                }
            }
            Subject::Resource(kind) => {
                let start = declaration.spec.as_object_mut().and_then(|spec| {
                    (kind == liftgate_domain::ResourceKind::Experiment).then(|| spec.remove("start")).flatten()
                });
                if start == Some(serde_json::Value::Bool(true)) {
                    caller.may(Role::ReleaseManager, &scope)?;
                    experiment_starts.push((scope.clone(), declaration.key.clone()));
                }
                let place = many.then_some(index);
                let Declaration { key, spec, .. } = declaration;
                let put = Put { kind, scope, key, spec, expected: Expected::Any, place };
                caller.may(put.role(), &put.scope)?;
                puts.push(put);
            }
        }
    }
    if !problems.is_empty() {
        return Err(ApiError::invalid("what you declared", problems).next("nothing was changed"));
    }
    puts.sort_by_key(|put| put.kind);
    let (applied, mut results) = put_all(&app, puts, caller.actor(), None).await?;
    let mut failures = Vec::new();
    for (scope, key) in experiment_starts {
        match start_experiment::start_if_new(&app, &scope, &key, caller.actor()).await {
            Ok(true) => results.push(started("experiment", scope, key)),
            Ok(false) => {}
            Err(error) => failures.push((started("experiment", scope, key), error)),
        }
    }
    for command in rollout_starts {
        let (scope, key) = (command.scope.clone(), command.key.clone());
        if app.catalog.rollout(&scope, &key).await?.is_some() {
            results.push(Outcome { action: "unchanged", ..started("rollout", scope, key) });
            continue;
        }
        match rollouts::start_command(&app, command, caller.actor(), None).await {
            Ok(_) => results.push(started("rollout", scope, key)),
            Err(error) => failures.push((started("rollout", scope, key), error)),
        }
    }
    let nothing_done = applied.is_none() && results.iter().all(|outcome| outcome.action == "unchanged");
    if nothing_done && !failures.is_empty() {
        return Err(failures.swap_remove(0).1);
    }
    // What was written has secrets that are shown only now, so a failed start must not hide the rest of the answer.
    results.extend(failures.into_iter().map(|(outcome, error)| Outcome {
        action: "failed",
        error: Some(error.detail().to_owned()),
        ..outcome
    }));
    Ok(Json(Answer { seq: applied.map(|applied| applied.seq), results }))
}

fn started(kind: &str, scope: Scope, key: Key) -> Outcome {
    Outcome { kind: kind.to_owned(), scope, key, action: "started", secret: None, error: None, client_key: None }
}

fn from_json(bytes: &[u8]) -> Result<Vec<Declaration>, ApiError> {
    let many = bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    if many { body::json(bytes) } else { body::json(bytes).map(|one| vec![one]) }
}

fn from_yaml(bytes: &[u8]) -> Result<Vec<Declaration>, ApiError> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        ApiError::new(StatusCode::BAD_REQUEST, "malformed_yaml", format!("the body is not UTF-8: {error}"))
    })?;
    let mut declarations = Vec::new();
    for (index, document) in serde_yaml_ng::Deserializer::from_str(text).enumerate() {
        let value = yaml::bounded(document).map_err(|error| {
            ApiError::new(
                StatusCode::BAD_REQUEST,
                "malformed_yaml",
                format!("document {index} is not valid YAML: {error}"),
            )
        })?;
        if value.is_null() {
            continue;
        }
        let declaration = serde_path_to_error::deserialize(value).map_err(|error| {
            ApiError::invalid_field(
                "what you declared",
                &format!("[{index}].{}", error.path()),
                error.inner().to_string(),
            )
        })?;
        declarations.push(declaration);
    }
    Ok(declarations)
}
