//! How nodes on one PostgreSQL hear of each other's changes: a notification within each change's transaction. One that is
//! lost, with its connection for example, costs nothing but time: nodes also look by themselves.

use std::time::Duration;

use liftgate_domain::Applied;
use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What notifications are sent under.
pub(super) const CHANNEL: &str = "liftgate_changes";
/// What a notification says when keys or tokens changed; otherwise nothing.
const KEYS: &str = "keys";
/// How long to wait before listening again after the connection was lost.
const PAUSE: Duration = Duration::from_secs(1);

/// A task that listens as long as this lives.
pub(super) struct Wakes {
    receiver: watch::Receiver<u64>,
    task: JoinHandle<()>,
}

impl Wakes {
    pub fn listen(pool: PgPool) -> Self {
        let (sender, receiver) = watch::channel(0);
        let task = tokio::spawn(async move {
            while !pool.is_closed() {
                // Whatever ends it, the next turn begins anew.
                if let Err(error) = follow(&pool, &sender).await
                    && !pool.is_closed()
                {
                    tracing::warn!(%error, "Notifications of other nodes cannot be heard; changes are polled for.");
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
        Self { receiver, task }
    }

    pub fn receiver(&self) -> watch::Receiver<u64> {
        self.receiver.clone()
    }
}

impl Drop for Wakes {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a change tells other nodes.
pub(super) fn payload_of(applied: &Applied) -> &'static str {
    if applied.entries.iter().any(|entry| entry.what == "credential") { KEYS } else { "" }
}

async fn follow(pool: &PgPool, sender: &watch::Sender<u64>) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    // Whatever came while nobody listened is heard of now.
    sender.send_modify(|keys| *keys += 1);
    loop {
        // `None` is a connection that was lost and is there again.
        let heard = listener.try_recv().await?;
        let is_other = heard.is_some_and(|notification| notification.payload() != KEYS);
        sender.send_modify(|keys| *keys += u64::from(!is_other));
    }
}
