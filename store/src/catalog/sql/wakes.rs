//! How nodes on one PostgreSQL hear of each other's changes: a notification within each change's transaction. One that is
//! lost, with its connection for example, costs nothing but time: nodes also look by themselves.

use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What notifications are sent under.
pub(super) const CHANNEL: &str = "liftgate_changes";
/// How long to wait before listening again after the connection was lost.
const PAUSE: Duration = Duration::from_secs(1);

/// A task that listens as long as this lives.
pub(super) struct Wakes {
    receiver: watch::Receiver<()>,
    task: JoinHandle<()>,
}

impl Wakes {
    pub fn listen(pool: PgPool) -> Self {
        let (sender, receiver) = watch::channel(());
        let task = tokio::spawn(async move {
            while !pool.is_closed() {
                // Whatever ends it, the next turn begins anew.
                let _ = follow(&pool, &sender).await;
                tokio::time::sleep(PAUSE).await;
            }
        });
        Self { receiver, task }
    }

    pub fn receiver(&self) -> watch::Receiver<()> {
        self.receiver.clone()
    }
}

impl Drop for Wakes {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn follow(pool: &PgPool, sender: &watch::Sender<()>) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    loop {
        // What came while nobody listened is heard of now; `None` is a connection that was lost and is there again.
        sender.send_replace(());
        listener.try_recv().await?;
    }
}
