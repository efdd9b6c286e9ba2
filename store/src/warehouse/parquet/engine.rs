//! The warehouse's own threads: neither questions nor flushes share any with whoever asks.

use std::future::Future;
use std::sync::Arc;

use datafusion::prelude::{SessionConfig, SessionContext};
use liftgate_domain::StoreError;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::Semaphore;
use tokio::task::JoinError;

/// Rows that DataFusion hands on at a time.
const BATCH_ROWS: usize = 16_384;

/// A runtime and a DataFusion session on it.
pub(super) struct Engine {
    runtime: Option<Runtime>,
    session: SessionContext,
    questions: Arc<Semaphore>,
}

impl Engine {
    pub(super) fn start(threads: usize) -> Result<Self, StoreError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads)
            // Far more than questions, a flush, a merge and an expiry take together: some of them wait for each other, and
            // one of them for DataFusion, which reads on these threads as well.
            .max_blocking_threads(threads + 16)
            .thread_name("warehouse")
            .build()
            .map_err(|error| StoreError::Unavailable(format!("could not start the warehouse's threads: {error}")))?;
        let config = SessionConfig::new().with_target_partitions(threads).with_batch_size(BATCH_ROWS);
        Ok(Self {
            runtime: Some(runtime),
            session: SessionContext::new_with_config(config),
            questions: Arc::new(Semaphore::new(threads)),
        })
    }

    pub(super) fn session(&self) -> SessionContext {
        self.session.clone()
    }

    /// Runs a future on the warehouse's threads.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.runtime()?.spawn(work).await.map_err(|error| stopped(&error))?
    }

    /// Runs something that blocks on the warehouse's threads.
    pub(super) async fn block<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.runtime()?.spawn_blocking(work).await.map_err(|error| stopped(&error))?
    }

    /// Answers a question on the warehouse's threads, as many at a time as there are threads. One that nobody waits for
    /// any more runs to its end and counts until then.
    pub(super) async fn answer<T: Send + 'static>(
        &self,
        question: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let permit = Arc::clone(&self.questions).acquire_owned().await;
        let permit = permit.map_err(|_| StoreError::Unavailable("the warehouse is closing".into()))?;
        let work = move || {
            let answer = question();
            drop(permit);
            answer
        };
        self.block(work).await
    }

    /// Starts something that blocks, without waiting for it.
    pub(super) fn start_blocking(&self, work: impl FnOnce() + Send + 'static) {
        if let Some(runtime) = &self.runtime {
            drop(runtime.spawn_blocking(work));
        }
    }

    /// For what must wait for a future while it blocks.
    pub(super) fn handle(&self) -> Result<Handle, StoreError> {
        Ok(self.runtime()?.handle().clone())
    }

    fn runtime(&self) -> Result<&Runtime, StoreError> {
        self.runtime.as_ref().ok_or_else(|| StoreError::Unavailable("the warehouse is closing".into()))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // A runtime may not be dropped where others run, and waiting here would block the caller's.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn stopped(error: &JoinError) -> StoreError {
    StoreError::Unavailable(format!("the warehouse stopped working on this: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_question_that_nobody_waits_for_counts_until_it_ends() {
        let engine = Engine::start(1).unwrap();
        let (release, held) = std::sync::mpsc::channel::<()>();
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let first = engine.answer(move || {
            begun.send(()).unwrap();
            held.recv().unwrap();
            Ok(())
        });
        tokio::select! {
            answer = first => panic!("{answer:?} before it was released"),
            begun = has_begun => begun.unwrap(),
        }
        assert_eq!(engine.questions.available_permits(), 0);
        release.send(()).unwrap();
        engine.answer(|| Ok(())).await.unwrap();
    }
}
