//! `/manage/v1`: configuration, rollouts, experiments and results, for people, the command line and automation.

mod apply;
mod changes;
mod declaration;
mod deliveries;
mod edit;
mod experiments;
mod explain;
mod in_use;
mod keys;
mod ledger;
mod paths;
mod quarantine;
mod resources;
mod results;
mod rollouts;
mod spec;
mod start_experiment;
mod tokens;
mod warehouse;
mod yaml;

use axum::{
    Router,
    routing::{delete, get, post},
};

use crate::app::App;

pub use declaration::Declaration;

/// The routes below `/manage/v1`. Mirrored in `http/openapi.json`; a test compares the two.
pub fn router() -> Router<App> {
    let environment = Router::new()
        .route("/keys", get(keys::list).post(keys::create))
        .route("/keys/{id}", delete(keys::revoke))
        .route("/events/counts", get(warehouse::counts))
        .route("/events/ledger", get(ledger::show))
        .route("/quarantine", get(quarantine::list))
        .route("/quarantine/replay", post(quarantine::replay))
        .route("/quarantine/discard", post(quarantine::discard))
        .route("/flags/{key}/explain", post(explain::show))
        .route("/rollouts", get(rollouts::list).post(rollouts::start))
        .route("/rollouts/{key}", get(rollouts::show))
        .route("/rollouts/{key}/why", get(rollouts::why))
        .route("/rollouts/{key}/decisions", get(rollouts::decisions))
        .route("/rollouts/{key}/replay", get(rollouts::replay))
        .route("/rollouts/{key}/pause", post(rollouts::pause))
        .route("/rollouts/{key}/resume", post(rollouts::resume))
        .route("/rollouts/{key}/rollback", post(rollouts::rollback))
        .route("/rollouts/{key}/cancel", post(rollouts::cancel))
        .route("/experiments/{key}/start", post(experiments::start))
        .route("/experiments/{key}/stop", post(experiments::stop))
        .route("/experiments/{key}/results", get(results::show))
        .route("/{collection}", get(resources::list_in_environment))
        .route(
            "/{collection}/{key}",
            get(resources::show_in_environment)
                .put(resources::put_in_environment)
                .delete(resources::archive_in_environment),
        );
    Router::new()
        .route("/apply", post(apply::apply))
        .route("/changes", get(changes::list))
        .route("/changes/stream", get(changes::stream))
        .route("/tokens", get(tokens::list).post(tokens::create))
        .route("/tokens/{id}", delete(tokens::revoke))
        .route("/warehouse", get(warehouse::show))
        .route("/warehouse/nodes/{node}", delete(warehouse::retire))
        .route("/projects", get(resources::list_projects))
        .route(
            "/projects/{project}",
            get(resources::show_project).put(resources::put_project).delete(resources::archive_project),
        )
        .route("/projects/{project}/deliveries", get(deliveries::list))
        .route("/projects/{project}/deliveries/{id}/replay", post(deliveries::replay))
        .route("/projects/{project}/{collection}", get(resources::list_in_project))
        .route(
            "/projects/{project}/{collection}/{key}",
            get(resources::show_in_project).put(resources::put_in_project).delete(resources::archive_in_project),
        )
        .nest("/projects/{project}/environments/{environment}", environment)
}
