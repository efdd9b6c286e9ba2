//! `GET /metrics` in the Prometheus text format: every queue, count and lag that an operator watches.

use std::sync::atomic::Ordering;

use axum::{extract::State, http::header, response::IntoResponse};
use liftgate_ingest::{Counters, HISTOGRAM_BOUNDS_US};
use liftgate_store::warehouse::{BreakerState, ClickHouseHealth, Description};

use super::exposition::Page;
use crate::{app::App, warehouse::Engine};

/// One page of samples, gathered at the moment of asking.
pub async fn show(State(app): State<App>) -> impl IntoResponse {
    let mut page = Page::default();
    page.counter("liftgate_evaluations_total", "Flag evaluations answered.", app.evaluations.load(Ordering::Relaxed));
    let ingest = app.ingest.counters();
    events(&mut page, &ingest);
    dropped(&mut page, &app);
    log(&mut page, &ingest);
    match &app.engine {
        Engine::Parquet(warehouse) => parquet(&mut page, &warehouse.describe()),
        Engine::ClickHouse(warehouse) => clickhouse(&mut page, &warehouse.health()),
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
    page.gauge("liftgate_streams", "Open streams of updates.", app.live.open());
    let looks = app.usage.all();
    let looks: Vec<_> = looks
        .iter()
        .map(|((scope, flag), count)| {
            let labels = [
                ("project", scope.project_column()),
                ("environment", scope.environment_column()),
                ("flag", flag.as_str()),
            ];
            (labels, *count)
        })
        .collect();
    page.counters("liftgate_flag_looks_total", "Looks at flags that applications reported.", &looks);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], page.finish())
}

/// What became of events and of the exposures that evaluation emits.
fn events(page: &mut Page, it: &Counters) {
    page.counter("liftgate_events_accepted_total", "Events admitted.", it.accepted);
    page.counter("liftgate_events_duplicate_total", "Events seen before.", it.duplicates);
    page.counter("liftgate_events_rejected_total", "Events refused with a reason.", it.rejected);
    page.counter("liftgate_events_quarantined_total", "Events set aside as implausible.", it.quarantined);
    page.counter("liftgate_events_replayed_total", "Events that left quarantine for the warehouse.", it.replayed);
    page.counter("liftgate_events_discarded_total", "Events that left quarantine for good.", it.discarded);
    page.counter("liftgate_events_skewed_total", "Events whose sender's clock was over 5 s off.", it.skewed);
    page.counter("liftgate_events_stored_total", "Events handed to the warehouse.", it.stored);
    page.gauge("liftgate_events_pending", "Events on disk and not yet in the warehouse.", it.pending);
    page.gauge("liftgate_events_pending_rows", "Their rows, one for each unit.", it.pending_rows);
    page.gauge("liftgate_events_oldest_pending_milliseconds", "Age of the oldest of them.", it.oldest_pending_ms);
    page.counter("liftgate_events_unattributable_total", "Exposures that no run explains.", it.unattributable);
    page.counter("liftgate_requests_refused_backlog_total", "Requests refused: the log was full.", it.refused_backlog);
    page.counter("liftgate_requests_refused_low_disk_total", "Requests refused: little disk.", it.refused_low_disk);
    page.counter("liftgate_exposures_sent_total", "Exposures that evaluation emitted.", it.exposures_sent);
    page.counter("liftgate_exposures_deduplicated_total", "Exposures that repeat one.", it.exposures_deduplicated);
    page.gauge("liftgate_exposures_queue", "Exposures that wait to be logged.", it.exposure_queue);
    page.gauge("liftgate_quarantine_events", "Events in quarantine.", it.quarantine_events);
    page.gauge("liftgate_quarantine_bytes", "Room that they take.", it.quarantine_bytes);
}

/// Exposures that evaluation could not emit, by their flag: its runs are missing units.
fn dropped(page: &mut Page, app: &App) {
    let snapshots = app.rulesets.all();
    let dropped = app.ingest.exposures_dropped_by_flag();
    let values: Vec<_> = dropped
        .iter()
        .map(|((environment, flag), count)| {
            // An environment that was archived has no name any more.
            let scope = snapshots.iter().find(|it| it.declared.number == *environment).map(|it| &it.scope);
            let labels = [
                ("project", scope.map_or("", |scope| scope.project_column())),
                ("environment", scope.map_or("", |scope| scope.environment_column())),
                ("flag", flag.as_str()),
            ];
            (labels, *count)
        })
        .collect();
    page.counters("liftgate_exposures_dropped_total", "Exposures lost to a full queue.", &values);
}

/// The event log and the way from it to the warehouse.
fn log(page: &mut Page, it: &Counters) {
    page.gauge("liftgate_log_bytes", "Bytes of the event log not yet released.", it.log_bytes);
    page.gauge("liftgate_log_released_through", "Last record released since the start.", it.released_through);
    page.gauge("liftgate_log_write_queue", "Requests that wait for the log's writer.", it.write_queue);
    page.gauge("liftgate_log_write_queue_bytes", "Their bytes.", it.write_queue_bytes);
    page.counter("liftgate_log_write_failures_total", "Writes of the log that failed.", it.write_failures);
    page.gauge("liftgate_log_fsync_microseconds", "Duration of the last group commit.", it.last_fsync_us);
    let (buckets, sum_us) = (&it.fsync.buckets, it.fsync.sum_us);
    page.histogram("liftgate_log_fsync_seconds", "Group commits.", &HISTOGRAM_BOUNDS_US, buckets, sum_us);
    page.gauge("liftgate_log_disk_free_bytes", "Room on the log's disk.", it.disk_free_bytes);
    page.counter("liftgate_log_damaged_total", "Damaged stretches found in the node's files.", it.damaged_frames);
    page.counter("liftgate_log_batches_sealed_total", "Batches sealed.", it.batches_sealed);
    page.gauge("liftgate_batch_queue", "Sealed batches that wait for the warehouse.", it.batch_queue);
    page.gauge("liftgate_batch_rows", "Rows of the last sealed batch.", it.last_batch_rows);
    page.gauge("liftgate_batch_bytes", "Bytes of log of the last sealed batch.", it.last_batch_bytes);
    page.counter("liftgate_warehouse_append_failures_total", "Batches not taken at once.", it.append_failures);
}

fn parquet(page: &mut Page, it: &Description) {
    page.gauge("liftgate_warehouse_files", "Parquet files in the manifest.", it.files);
    page.gauge("liftgate_warehouse_rows", "Rows in files and tail.", it.rows);
    page.gauge("liftgate_warehouse_tail_rows", "Rows in memory, not yet in a file.", it.tail_rows);
    page.gauge("liftgate_warehouse_bytes", "Bytes of Parquet files.", it.bytes);
}

fn clickhouse(page: &mut Page, it: &ClickHouseHealth) {
    let states = [
        ("closed", it.breaker == BreakerState::Closed),
        ("open", it.breaker == BreakerState::Open),
        ("half_open", it.breaker == BreakerState::HalfOpen),
    ];
    page.state("liftgate_clickhouse_breaker", "What the circuit breaker does.", "state", &states);
    page.counter("liftgate_clickhouse_breaker_opened_total", "How often it opened.", it.breaker_opened);
    page.gauge("liftgate_clickhouse_failures_in_a_row", "Failed inserts since one succeeded.", it.failures);
    page.counter("liftgate_clickhouse_inserts_total", "Inserts confirmed.", it.inserts);
    page.counter("liftgate_clickhouse_inserts_failed_total", "Inserts failed.", it.inserts_failed);
    page.counter("liftgate_clickhouse_rows_total", "Rows inserted.", it.rows);
    page.counter("liftgate_clickhouse_bytes_total", "Bytes inserted, before compression.", it.bytes);
    page.gauge("liftgate_clickhouse_insert_microseconds", "Duration of the last insert.", it.last_insert_us);
    page.counter("liftgate_clickhouse_questions_total", "Questions answered.", it.questions);
    page.gauge("liftgate_clickhouse_unrecorded_batches", "Batches stored, not yet recorded.", it.unrecorded_batches);
}
