//! The warehouse that the configuration chose, and what its port does not say: how large it is, how it fares, and what
//! retention takes out of it.

use std::{sync::Arc, time::Duration};

use liftgate_domain::{Clock, StoreError, Timestamp, Warehouse};
use liftgate_store::warehouse::{ClickHouseOptions, ClickHouseWarehouse, ParquetOptions, ParquetWarehouse};
use serde_json::{Value, json};

use crate::config::{Config, WarehouseConfig};

/// An open warehouse.
#[derive(Clone)]
pub enum Engine {
    /// Files of this machine.
    Parquet(Arc<ParquetWarehouse>),
    /// A server or cluster.
    ClickHouse(Arc<ClickHouseWarehouse>),
}

impl Engine {
    /// Opens what the configuration says.
    pub async fn open(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        match &config.warehouse {
            WarehouseConfig::Parquet { dir } => {
                let options = ParquetOptions {
                    flush_after_ms: config.flush_after.as_ms(),
                    threads: config.query_threads,
                    ..ParquetOptions::default()
                };
                Ok(Self::Parquet(Arc::new(ParquetWarehouse::open(dir, options)?)))
            }
            WarehouseConfig::ClickHouse(settings) => {
                let options = ClickHouseOptions {
                    url: settings.url.clone(),
                    database: settings.database.clone(),
                    user: settings.user.clone(),
                    password: settings.password.clone(),
                    cluster: settings.cluster.clone(),
                    breaker_pause: Duration::from_millis(settings.breaker_pause.as_ms()),
                    ..ClickHouseOptions::default()
                };
                Ok(Self::ClickHouse(Arc::new(ClickHouseWarehouse::connect(options, clock).await?)))
            }
        }
    }

    /// The port that everything else knows.
    pub fn port(&self) -> Arc<dyn Warehouse> {
        match self {
            Self::Parquet(warehouse) => warehouse.clone(),
            Self::ClickHouse(warehouse) => warehouse.clone(),
        }
    }

    /// Its name in answers and settings.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Parquet(_) => "parquet",
            Self::ClickHouse(_) => "clickhouse",
        }
    }

    /// How large it is, or how it fares.
    pub fn describe(&self) -> Value {
        let mut described = match self {
            Self::Parquet(warehouse) => json!(warehouse.describe()),
            Self::ClickHouse(warehouse) => json!(warehouse.health()),
        };
        described["engine"] = self.name().into();
        described
    }

    /// Takes an environment's events out whose days (UTC) end no later than an instant. Answers how many distinct events
    /// that were.
    pub async fn expire(&self, environment: u64, before: Timestamp) -> Result<u64, StoreError> {
        match self {
            Self::Parquet(warehouse) => warehouse.expire(environment, before).await,
            Self::ClickHouse(warehouse) => warehouse.expire(environment, before).await,
        }
    }

    /// How many distinct events retention has taken out of an environment.
    pub async fn expired(&self, environment: u64) -> Result<u64, StoreError> {
        match self {
            Self::Parquet(warehouse) => Ok(warehouse.expired(environment)),
            Self::ClickHouse(warehouse) => warehouse.expired(environment).await,
        }
    }
}
