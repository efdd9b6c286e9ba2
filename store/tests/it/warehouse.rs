//! The port `Warehouse`: cases that every engine must answer, the engines against the definition on generated worlds,
//! and what survives a crash.
//!
//! | module | what it is |
//! |---|---|
//! | `engine` | the engines under test; a new one implements `Engine` |
//! | `examples`, `world`, `questions` | rows and questions, written by hand and from a seed |
//! | `conformance`, `batches`, `units`, `kinds`, `caps`, `covariates`, `slices` | the cases; `check_all` runs them all |
//! | `comparison`, `worlds` | answers next to those of the definition; `check_world` does it for an engine |
//! | `parity`, `durability`, `crashes`, `retention`, `stand` | Parquet in every arrangement, after crashes, and as days expire |
//! | `clickhouse`, `clickhouse_*`, `clickhouse_server` | ClickHouse, and the real server that its tests run on |
//!
//! An engine whose warehouses take long to make runs `check_all` and `check_world` in tests of its own; the others
//! get a test a case from `conformance!`.

#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests, which clippy cannot know")]

#[path = "warehouse/batches.rs"]
mod batches;
#[path = "warehouse/caps.rs"]
mod caps;
#[cfg(feature = "clickhouse")]
#[path = "warehouse/clickhouse.rs"]
mod clickhouse;
#[cfg(feature = "clickhouse")]
#[path = "warehouse/clickhouse_crashes.rs"]
mod clickhouse_crashes;
#[cfg(feature = "clickhouse")]
#[path = "warehouse/clickhouse_expiry.rs"]
mod clickhouse_expiry;
// Failpoints are only there in debug builds.
#[cfg(all(feature = "clickhouse", debug_assertions))]
#[path = "warehouse/clickhouse_failpoints.rs"]
mod clickhouse_failpoints;
#[cfg(feature = "clickhouse")]
#[path = "warehouse/clickhouse_retries.rs"]
mod clickhouse_retries;
#[cfg(feature = "clickhouse")]
#[path = "warehouse/clickhouse_server.rs"]
mod clickhouse_server;
#[cfg(feature = "clickhouse")]
#[path = "warehouse/clickhouse_setup.rs"]
mod clickhouse_setup;
#[path = "warehouse/comparison.rs"]
mod comparison;
#[path = "warehouse/conformance.rs"]
mod conformance;
#[path = "warehouse/covariates.rs"]
mod covariates;
#[cfg(feature = "parquet")]
#[path = "warehouse/crashes.rs"]
mod crashes;
#[cfg(feature = "parquet")]
#[path = "warehouse/durability.rs"]
mod durability;
#[path = "warehouse/engine.rs"]
mod engine;
#[path = "warehouse/examples.rs"]
mod examples;
#[path = "warehouse/kinds.rs"]
mod kinds;
#[cfg(feature = "parquet")]
#[path = "warehouse/parity.rs"]
mod parity;
#[path = "warehouse/questions.rs"]
mod questions;
#[cfg(feature = "parquet")]
#[path = "warehouse/retention.rs"]
mod retention;
#[path = "warehouse/retirement.rs"]
mod retirement;
#[path = "warehouse/slices.rs"]
mod slices;
#[cfg(feature = "parquet")]
#[path = "warehouse/stand.rs"]
mod stand;
#[path = "warehouse/units.rs"]
mod units;
#[path = "warehouse/world.rs"]
mod world;
#[path = "warehouse/worlds.rs"]
mod worlds;

/// Tests of one engine, one a case.
macro_rules! cases {
    ($engine:ident: $($module:ident::$case:ident,)*) => {
        $(#[tokio::test]
        async fn $case() {
            super::$module::$case(&super::engine::$engine).await;
        })*
    };
}

/// One module an engine, and `check_all` for engines that come from elsewhere.
macro_rules! conformance {
    (base { $($base_module:ident::$base:ident,)* } full { $($module:ident::$case:ident,)* }) => {
        mod on_memory {
            cases!(Memory: $($base_module::$base,)* $($module::$case,)*);
        }

        #[cfg(feature = "parquet")]
        mod on_parquet {
            cases!(Parquet: $($base_module::$base,)* $($module::$case,)*);
        }

        /// Runs every case on this engine, one after the other. The name of the one that fails is printed last.
        #[cfg(feature = "clickhouse")]
        pub async fn check_all(engine: &impl engine::Engine) {
            $(println!("{}", stringify!($base)); $base_module::$base(engine).await;)*
            $(println!("{}", stringify!($case)); $module::$case(engine).await;)*
        }
    };
}

conformance! {
    base {
        conformance::counts_events_from_the_first_exposure_until_the_window_ends,
        conformance::a_decision_takes_a_unit_once_its_window_is_closed_for_good,
        conformance::a_decision_leaves_late_rows_out_and_a_readout_shows_them,
        conformance::a_unit_and_its_mirror_image_leave_when_a_later_share_moves_one_of_them,
        conformance::a_unit_without_a_bucket_leaves_with_the_first_of_its_stage,
        conformance::a_stage_that_comes_again_counts_from_its_last_coming,
        conformance::the_end_of_the_run_censors_every_open_window,
        conformance::units_in_several_arms_are_quarantined_and_counted,
        conformance::of_exposures_at_one_instant_the_one_of_the_smallest_id_is_the_first,
        conformance::an_arm_is_as_fresh_as_what_was_received_whatever_the_senders_clock_says,
        conformance::an_experiment_with_three_arms_answers_for_the_arms_that_were_asked_for,
        conformance::a_metric_may_sum_a_property_and_takes_what_is_no_number_for_nothing,
        conformance::an_earlier_instant_hides_what_was_received_after_it,
        batches::an_event_taken_by_two_nodes_counts_once_as_it_was_received_first,
        batches::the_same_batch_again_changes_nothing_and_an_empty_one_moves_the_watermark,
        batches::nothing_written_is_an_empty_answer,
        batches::whoever_waits_for_evidence_is_woken_and_sees_the_rows,
    }
    full {
        kinds::a_delay_moves_the_beginning_of_the_window_and_not_its_end,
        kinds::a_ratio_has_both_of_its_parts_unit_by_unit,
        kinds::a_quantile_is_the_value_at_a_position_among_all_events_of_an_arm,
        kinds::numbers_that_overflow_together_count_for_nothing,
        caps::a_fixed_cap_holds_larger_values_of_units_down,
        caps::a_percentile_is_that_of_all_units_that_enter,
        caps::a_percentile_of_mostly_nothing_is_nothing,
        covariates::a_lookback_reads_what_came_before_the_first_exposure,
        covariates::each_first_exposure_has_a_lookback_of_its_own,
        slices::the_first_exposure_says_what_slice_a_unit_is_in,
        slices::the_values_with_the_most_units_are_told_apart,
        slices::days_end_at_midnight_utc,
        slices::lists_are_in_the_order_of_the_question,
        units::an_event_of_several_units_counts_once_for_each_unit_type,
        units::a_batch_has_a_row_of_an_event_and_unit_type_once,
        units::the_corrected_time_counts_whatever_the_sender_wrote,
        units::units_that_an_excluded_run_has_seen_are_left_out_and_counted_once,
    }
}
