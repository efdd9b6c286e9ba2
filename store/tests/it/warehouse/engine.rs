//! The engines under test. A case is written once, against [`Engine`].

use std::sync::Arc;

use liftgate_domain::{SealedBatch, Warehouse};
use liftgate_store::warehouse::MemoryWarehouse;

/// Makes warehouses of one engine. An engine needs only `on_empty`; one that keeps rows in several places overrides
/// `on_rows` to check all of them.
pub trait Engine {
    /// Runs `check` on an empty warehouse.
    async fn on_empty(&self, check: impl AsyncFnOnce(&dyn Warehouse));

    /// Runs `check`, which changes nothing, on warehouses that have been given `batches`: one for each way in which the
    /// engine may keep them.
    async fn on_rows(&self, batches: &[Arc<SealedBatch>], check: impl AsyncFn(&dyn Warehouse)) {
        self.on_empty(async |warehouse| {
            append_all(warehouse, batches).await;
            check(warehouse).await;
        })
        .await;
    }
}

/// Appends the batches in their order.
pub async fn append_all(warehouse: &dyn Warehouse, batches: &[Arc<SealedBatch>]) {
    for batch in batches {
        warehouse.append(Arc::clone(batch)).await.unwrap();
    }
}

/// The definition.
pub struct Memory;

impl Engine for Memory {
    async fn on_empty(&self, check: impl AsyncFnOnce(&dyn Warehouse)) {
        check(&MemoryWarehouse::new()).await;
    }
}

/// Parquet files, in a folder for each check.
#[cfg(feature = "parquet")]
pub struct Parquet;

#[cfg(feature = "parquet")]
impl Engine for Parquet {
    async fn on_empty(&self, check: impl AsyncFnOnce(&dyn Warehouse)) {
        check(&super::stand::Stand::new().open()).await;
    }

    /// With all rows in memory, then in files, then in files that were opened anew.
    async fn on_rows(&self, batches: &[Arc<SealedBatch>], check: impl AsyncFn(&dyn Warehouse)) {
        let stand = super::stand::Stand::new();
        let warehouse = stand.open();
        append_all(&warehouse, batches).await;
        check(&warehouse).await;
        warehouse.flush().await.unwrap();
        check(&warehouse).await;
        drop(warehouse);
        check(&stand.open()).await;
    }
}
