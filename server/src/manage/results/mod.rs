//! An experiment's readout: `GET .../experiments/{key}/results`. The question (`question`), its numbers for the statistics
//! (`data`), looks back in time (`series`), and what is answered (`readout`), as JSON or as a table (`rows`).

mod data;
mod parameters;
mod question;
mod readout;
mod rows;
mod series;

use axum::{
    Json,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use liftgate_domain::{Experiment, Key, ResourceKind, Role, Run, Scope};

use self::{
    parameters::{Form, Parameters},
    readout::Readout,
};
use super::paths::{InEnvironment, Named};
use crate::{access::Caller, app::App, problem::ApiError, table};

/// Answers with the readout in the form asked for.
pub async fn show(
    State(app): State<App>,
    caller: Caller,
    InEnvironment(scope): InEnvironment,
    Named(key): Named,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    caller.may(Role::Viewer, &scope)?;
    let (experiment, run) = find(&app, &scope, &key).await?;
    let readout = Readout::read(&app, &scope, key, experiment, run, &parameters).await?;
    let encoded = match parameters.form {
        Form::Json => return Ok(Json(readout).into_response()),
        Form::Csv => table::csv(&rows::COLUMNS, &rows::rows(&readout)),
        Form::Arrow => table::arrow(&rows::COLUMNS, &rows::rows(&readout))?,
        Form::Parquet => table::parquet(&rows::COLUMNS, &rows::rows(&readout))?,
    };
    Ok(([(header::CONTENT_TYPE, parameters.form.media_type())], encoded).into_response())
}

/// The experiment and its run.
async fn find(app: &App, scope: &Scope, key: &Key) -> Result<(Experiment, Run), ApiError> {
    let experiment: Experiment = app
        .catalog
        .resource(ResourceKind::Experiment, scope, key)
        .await?
        .ok_or_else(|| ApiError::not_found(format!("experiment `{key}` in `{scope}`")))?
        .decode()?;
    let number = experiment.run.ok_or_else(|| {
        ApiError::new(axum::http::StatusCode::CONFLICT, "not_started", format!("experiment `{key}` has not started"))
            .next("start it with `POST .../experiments/{key}/start`")
    })?;
    let run = app.catalog.run(scope, number).await?;
    let run = run.ok_or_else(|| ApiError::not_found(format!("run {number} in `{scope}`")))?;
    Ok((experiment, run))
}
