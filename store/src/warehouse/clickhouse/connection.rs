//! Every call to the server: with its bound on time, and with its errors explained.

use std::future::Future;
use std::time::Duration;

use clickhouse::query::Query;
use clickhouse::{Client, Row, RowOwned, RowRead, RowWrite};
use liftgate_domain::StoreError;

use super::failure::{explain, late};
use super::options::ClickHouseOptions;

/// A client of one server.
pub(super) struct Connection {
    client: Client,
    options: ClickHouseOptions,
}

/// How an insert is named and confirmed.
pub(super) struct InsertTerms<'a> {
    /// The same rows have the same token whenever they are sent.
    pub(super) token: Option<&'a str>,
    /// Servers that must have the rows before they count as stored; 0 where nothing is replicated.
    pub(super) quorum: u32,
}

impl Connection {
    /// No call is made yet.
    pub(super) fn new(options: ClickHouseOptions) -> Self {
        let mut client = Client::default()
            .with_url(&options.url)
            .with_user(&options.user)
            .with_product_info("liftgate", env!("CARGO_PKG_VERSION"))
            // Inserts are confirmed when they are stored, not when they are queued.
            .with_setting("async_insert", "0")
            .with_setting("distributed_foreground_insert", "1")
            // Rows without a partner read as zeros and empty texts, and texts of numbers as the nearest number.
            .with_setting("join_use_nulls", "0")
            .with_setting("precise_float_parsing", "1")
            // A question is asked a few times and has many expressions: compiling and
            // rewriting them takes longer than they run.
            .with_setting("compile_expressions", "0")
            .with_setting("compile_aggregate_expressions", "0")
            .with_setting("optimize_and_compare_chain", "0")
            .with_setting("max_execution_time", options.query_timeout.as_secs().max(1).to_string());
        if !options.password.is_empty() {
            client = client.with_password(&options.password);
        }
        Self { client, options }
    }

    pub(super) fn options(&self) -> &ClickHouseOptions {
        &self.options
    }

    /// The client, for calls that name the database themselves.
    pub(super) fn outside(&self) -> Client {
        self.client.clone()
    }

    /// The client, in the database.
    pub(super) fn inside(&self) -> Client {
        self.client.clone().with_database(&self.options.database)
    }

    /// The client, in the database, for questions: they change nothing, and end in the server when nobody waits any more.
    pub(super) fn reading(&self) -> Client {
        self.inside()
            .with_setting("readonly", "2")
            .with_setting("cancel_http_readonly_queries_on_client_close", "1")
            // A replica that is behind would miss rows that the marks claim: better no answer.
            .with_setting("fallback_to_stale_replicas_for_distributed_queries", "0")
            .with_setting("max_replica_delay_for_distributed_queries", "5")
    }

    /// Runs a statement that answers nothing.
    pub(super) async fn execute(&self, query: Query) -> Result<(), StoreError> {
        self.bounded(self.options.query_timeout, query.execute()).await
    }

    /// All rows of an answer.
    pub(super) async fn rows<T: RowOwned + RowRead>(&self, query: Query) -> Result<Vec<T>, StoreError> {
        self.bounded(self.options.query_timeout, query.fetch_all::<T>()).await
    }

    /// The one row of an answer.
    pub(super) async fn row<T: RowOwned + RowRead>(&self, query: Query) -> Result<T, StoreError> {
        self.bounded(self.options.query_timeout, query.fetch_one::<T>()).await
    }

    /// Stores rows; when it answers they are on disk and visible.
    pub(super) async fn insert<'r, T>(
        &self,
        table: &str,
        terms: &InsertTerms<'_>,
        rows: impl Iterator<Item = T::Value<'r>> + Send,
    ) -> Result<(), StoreError>
    where
        T: Row + RowWrite,
        T::Value<'r>: Send + Sync,
    {
        let timeout = self.options.insert_timeout;
        let client = self.inside();
        let sent = async {
            let mut insert = client.insert::<T>(table).await?.with_timeouts(Some(timeout), Some(timeout));
            // One thread keeps the order of the rows, and so the blocks that they are stored in.
            insert = insert.with_setting("max_insert_threads", "1");
            if let Some(token) = terms.token {
                insert = insert.with_setting("insert_deduplication_token", token);
            }
            if terms.quorum > 1 {
                insert = insert.with_setting("insert_quorum", terms.quorum.to_string());
                insert = insert.with_setting("insert_quorum_parallel", "1");
            }
            for row in rows {
                insert.write(&row).await?;
            }
            insert.end().await
        };
        // A little longer than the client's own limit, so that it is the client that gives up and cleans up.
        self.bounded(timeout + Duration::from_secs(1), sent).await
    }

    async fn bounded<T>(
        &self,
        timeout: Duration,
        call: impl Future<Output = Result<T, clickhouse::error::Error>>,
    ) -> Result<T, StoreError> {
        match tokio::time::timeout(timeout, call).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(explain(&error, &self.options)),
            Err(_) => Err(late(&self.options)),
        }
    }
}
