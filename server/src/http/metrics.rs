//! `GET /metrics` in the Prometheus text format: every queue, count and lag that an operator watches.

use std::{fmt::Write as _, sync::atomic::Ordering};

use axum::{extract::State, http::header, response::IntoResponse};

use crate::app::App;

/// One page of samples, gathered at the moment of asking.
pub async fn show(State(app): State<App>) -> impl IntoResponse {
    let mut page = Page::default();
    let ingest = app.ingest.counters();
    page.counter("liftgate_evaluations_total", "Flag evaluations answered.", app.evaluations.load(Ordering::Relaxed));
    page.counter("liftgate_events_accepted_total", "Events admitted.", ingest.accepted);
    page.counter("liftgate_events_duplicate_total", "Events seen before.", ingest.duplicates);
    page.counter("liftgate_events_rejected_total", "Events refused with a reason.", ingest.rejected);
    page.counter("liftgate_events_stored_total", "Events handed to the warehouse.", ingest.stored);
    page.gauge("liftgate_events_pending", "Events on disk and not yet in the warehouse.", ingest.pending);
    page.counter("liftgate_events_unattributable_total", "Exposures that no run explains.", ingest.unattributable);
    page.counter("liftgate_exposures_sent_total", "Exposures that evaluation emitted.", ingest.exposures_sent);
    page.counter("liftgate_exposures_dropped_total", "Exposures lost to a full queue.", ingest.exposures_dropped);
    page.gauge("liftgate_log_bytes", "Bytes of the event log not yet released.", ingest.log_bytes);
    page.counter("liftgate_log_batches_sealed_total", "Batches sealed.", ingest.batches_sealed);
    page.gauge("liftgate_log_fsync_microseconds", "Duration of the last group commit.", ingest.last_fsync_us);
    {
        let warehouse = app.parquet.describe();
        page.gauge("liftgate_warehouse_files", "Parquet files in the manifest.", warehouse.files);
        page.gauge("liftgate_warehouse_rows", "Rows in files and tail.", warehouse.rows);
        page.gauge("liftgate_warehouse_bytes", "Bytes of Parquet files.", warehouse.bytes);
    }
    let watermark = app.warehouse.evidence().borrow().time();
    if let Some(time) = watermark {
        let lag_us = app.clock.now().0.saturating_sub(time.0).max(0);
        page.gauge("liftgate_watermark_lag_microseconds", "Age of the watermark.", lag_us);
    }
    let webhooks = app.dispatcher.counters().deliveries;
    page.counter("liftgate_webhook_deliveries_total", "Deliveries answered with success.", webhooks.delivered);
    page.counter("liftgate_webhook_retries_total", "Attempts that will be repeated.", webhooks.retried);
    page.counter("liftgate_webhook_dead_total", "Deliveries given up on.", webhooks.dead);
    page.gauge("liftgate_environments", "Environments loaded.", app.rulesets.len());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], page.0)
}

#[derive(Default)]
struct Page(String);

impl Page {
    fn counter(&mut self, name: &str, help: &str, value: impl std::fmt::Display) {
        self.sample(name, help, "counter", value);
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl std::fmt::Display) {
        self.sample(name, help, "gauge", value);
    }

    fn sample(&mut self, name: &str, help: &str, kind: &str, value: impl std::fmt::Display) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
    }
}
