//! A flag: valid in itself, and still valid with what every environment serves of it.

use liftgate_domain::{Resource, ResourceKind};
use liftgate_evaluator::{Flag, FlagState, validate};
use serde_json::Value;

use super::{Checked, Verdict, decode, problem, with_key};
use crate::{
    manage::edit::{Lookup, Put},
    problem::ApiError,
};

pub(super) async fn check(
    lookup: &Lookup<'_>,
    put: &Put,
    spec: Value,
    current: Option<&Resource>,
) -> Result<Verdict, ApiError> {
    let flag: Flag = match with_key(spec, &put.key).and_then(decode) {
        Ok(flag) => flag,
        Err(problems) => return Ok(Err(problems)),
    };
    let mut problems = validate(&flag, None);
    if let Some(current) = current {
        let before: Flag = current.decode()?;
        if before.kind != flag.kind {
            problems.push(problem("kind", "cannot be changed: callers rely on the type; make a new flag"));
        }
        let mut is_served = false;
        for environment in lookup.bodies(ResourceKind::Environment, &put.scope).await?.into_keys() {
            let scope = put.scope.with_environment(environment.clone());
            let Some(body) = lookup.body(ResourceKind::FlagState, &scope, &put.key).await? else { continue };
            is_served = true;
            let state: FlagState = match decode(body) {
                Ok(state) => state,
                Err(found) => {
                    problems.extend(found);
                    continue;
                }
            };
            let known = problems.len();
            problems.extend(validate(&flag, Some(&state)));
            for found in &mut problems[known..] {
                found.message = format!("{} (as used in environment `{environment}`)", found.message);
            }
        }
        if is_served && before.dialect != flag.dialect {
            let message =
                "cannot be changed once an environment serves the flag: every unit would move; make a new flag";
            problems.push(problem("dialect", message));
        }
    }
    problems.dedup();
    Ok(if problems.is_empty() { Ok(Checked::plain(&flag)) } else { Err(problems) })
}
