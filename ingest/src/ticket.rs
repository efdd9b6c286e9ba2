//! The outcome of one write to the log, awaited by its own request and by every request that repeats one of its events.

use std::io;
use std::sync::Arc;

use tokio::sync::watch;

use crate::Error;
use crate::gate::RETRY_AFTER_S;

/// Hands the outcome out; kept by the writer.
pub(crate) type Stub = watch::Sender<Option<Result<(), Arc<io::Error>>>>;

/// Awaits the outcome.
#[derive(Clone, Debug)]
pub(crate) struct Ticket(watch::Receiver<Option<Result<(), Arc<io::Error>>>>);

/// A new write.
pub(crate) fn issue() -> (Stub, Ticket) {
    let (stub, ticket) = watch::channel(None);
    (stub, Ticket(ticket))
}

impl Ticket {
    /// Whether both await the same write.
    pub(crate) fn same_write(&self, other: &Self) -> bool {
        self.0.same_channel(&other.0)
    }

    /// Returns once the write is on disk, or has failed.
    pub(crate) async fn wait(mut self) -> Result<(), Error> {
        let outcome = self.0.wait_for(Option::is_some).await.map_err(|_| Error::Closed)?;
        match &*outcome {
            Some(Err(error)) if is_full(error) => Err(Error::LowDisk { retry_after_s: RETRY_AFTER_S }),
            Some(Err(error)) => Err(Error::Disk(Arc::clone(error))),
            _ => Ok(()),
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
