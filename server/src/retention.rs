//! Retention: once a day, and after each start, events that are older than the setting leave the warehouse.

use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};
use tokio_util::sync::CancellationToken;

use crate::app::App;

/// Every day at a quiet hour, UTC.
const DAILY: &str = "0 17 3 * * *";

/// Keeps retention until `stop`.
pub async fn run(app: App, stop: CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => return,
        () = expire(&app) => {}
    }
    let mut cron = match daily(app.clone()).await {
        Ok(cron) => cron,
        Err(error) => {
            tracing::error!(%error, "The daily retention could not be started; it runs again at the next start.");
            return;
        }
    };
    stop.cancelled().await;
    if let Err(error) = cron.shutdown().await {
        tracing::warn!(%error, "The daily retention did not stop cleanly.");
    }
}

async fn daily(app: App) -> Result<JobScheduler, JobSchedulerError> {
    let cron = JobScheduler::new().await?;
    let job = Job::new_async(DAILY, move |_, _| {
        let app = app.clone();
        Box::pin(async move { expire(&app).await })
    })?;
    cron.add(job).await?;
    cron.start().await?;
    Ok(cron)
}

/// Takes out what is too old, environment by environment; one that fails holds up no other.
async fn expire(app: &App) {
    let before = app.clock.now().plus_millis(-app.config.retention.as_ms_i64());
    // Archived environments are not served any more, but this node may have accepted events of theirs.
    let mut environments: Vec<u64> = app.ingest.ledger().into_keys().collect();
    environments.extend(app.rulesets.all().iter().map(|snapshot| snapshot.declared.number));
    environments.sort_unstable();
    environments.dedup();
    for environment in environments {
        match app.engine.expire(environment, before).await {
            Ok(0) => {}
            Ok(count) => tracing::info!(environment, count, %before, "Events that are too old were taken out."),
            Err(error) => {
                tracing::error!(environment, %error, "Events that are too old could not be taken out; tomorrow again.");
            }
        }
    }
}
