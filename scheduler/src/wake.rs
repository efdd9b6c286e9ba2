//! What wakes the scheduler: new evidence, and once a second a cron job in case nothing else does. A wake-up carries no
//! meaning; what is due, and for whom, is the catalog's to say.

use std::{sync::Arc, time::Duration};

use liftgate_domain::Watermark;
use tokio::sync::{Notify, watch};
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

/// Every second.
const SAFETY_NET: &str = "* * * * * *";
/// The safety net's own safety net, should cron not start.
const WITHOUT_CRON: Duration = Duration::from_secs(1);

pub(crate) struct Wake {
    evidence: watch::Receiver<Watermark>,
    is_evidence_open: bool,
    bell: Arc<Notify>,
    cron: Option<JobScheduler>,
}

impl Wake {
    pub async fn new(evidence: watch::Receiver<Watermark>) -> Self {
        let bell = Arc::new(Notify::new());
        let cron = match ring_every_second(Arc::clone(&bell)).await {
            Ok(cron) => Some(cron),
            Err(error) => {
                tracing::error!(%error, "The cron wake-up could not be started; a plain timer takes its place.");
                None
            }
        };
        Self { evidence, is_evidence_open: true, bell, cron }
    }

    /// Waits for the next wake-up. Those that come while nobody waits are one.
    pub async fn next(&mut self) {
        tokio::select! {
            changed = self.evidence.changed(), if self.is_evidence_open => self.is_evidence_open = changed.is_ok(),
            () = self.bell.notified() => {}
            () = tokio::time::sleep(WITHOUT_CRON), if self.cron.is_none() => {}
        }
    }

    pub async fn shutdown(mut self) {
        if let Some(cron) = &mut self.cron
            && let Err(error) = cron.shutdown().await
        {
            tracing::warn!(%error, "The cron wake-up did not stop cleanly.");
        }
    }
}

async fn ring_every_second(bell: Arc<Notify>) -> Result<JobScheduler, JobSchedulerError> {
    let cron = JobScheduler::new().await?;
    let ring = Job::new_async(SAFETY_NET, move |_, _| {
        let bell = Arc::clone(&bell);
        Box::pin(async move { bell.notify_one() })
    })?;
    cron.add(ring).await?;
    cron.start().await?;
    Ok(cron)
}
