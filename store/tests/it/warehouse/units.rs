//! Cases: several units an event, and units that other runs have seen.

use liftgate_domain::{EventCounts, EventRow, MomentsQuery, RowKind, RowRule};
use liftgate_evaluator::{CONTROL, TREATMENT};

use super::engine::Engine;
use super::examples::*;

pub async fn an_event_of_several_units_counts_once_for_each_unit_type(engine: &impl Engine) {
    let (first, purchase) = (exposure("x", "u1", TREATMENT, 1_000), event("e", "u1", 5.0, 2_000));
    let other = event("f", "u2", 7.0, 3_000);
    let rows = vec![
        of_account(&first, "acme"),
        first.clone(),
        purchase.clone(),
        of_account(&purchase, "acme"),
        of_account(&other, "acme"),
        other,
    ];
    // Another node took one of them as well, later, and a third node another one, earlier.
    let again = |row: &EventRow, value, ms| received(EventRow { value: Some(value), ..row.clone() }, ms);
    let repeated = vec![again(&purchase, 50.0, 4_000), again(&of_account(&purchase, "acme"), 60.0, 4_000)];
    let earlier = vec![again(&of_account(&purchase, "acme"), 70.0, 1_900)];
    let batches = [
        batch("a", 1, 1, 60_000, rows),
        batch("b", 1, 1, 60_000, repeated),
        batch("c", 1, 1, 60_000, earlier),
        batch("a", 1, 2, 61_000, vec![exposure("y", "acme", TREATMENT, 60_500)]),
    ];
    engine
        .on_rows(&batches, async |warehouse| {
            let answer = warehouse.moments(&question()).await.unwrap();
            assert_eq!(total(&answer, "revenue", TREATMENT), Some((1, 5.0)));
            let mut of_accounts = question();
            of_accounts.history.unit = "account".into();
            let answer = warehouse.moments(&of_accounts).await.unwrap();
            assert_eq!(total(&answer, "revenue", TREATMENT), Some((1, 77.0)));
            assert_eq!(total(&answer, "purchases", TREATMENT), Some((1, 2.0)));
            assert_eq!((answer.treated_units, answer.arms[0].units), (1, 1));
            let counts = warehouse.counts(ENVIRONMENT).await.unwrap();
            assert_eq!(counts, EventCounts { exposures: 2, metrics: 2, surplus: 3 });
        })
        .await;
}

pub async fn a_batch_has_a_row_of_an_event_and_unit_type_once(engine: &impl Engine) {
    let purchase = event("e", "u", 5.0, 2_000);
    let rows = vec![
        exposure("x", "u", TREATMENT, 1_000),
        purchase.clone(),
        of_account(&purchase, "acme"),
        EventRow { value: Some(50.0), ..purchase.clone() },
        EventRow { value: Some(60.0), ..of_account(&purchase, "another") },
    ];
    engine
        .on_rows(&[batch("a", 1, 1, 60_000, rows)], async |warehouse| {
            let answer = warehouse.moments(&question()).await.unwrap();
            assert_eq!(total(&answer, "revenue", TREATMENT), Some((1, 5.0)));
            let counts = warehouse.counts(ENVIRONMENT).await.unwrap();
            assert_eq!(counts, EventCounts { exposures: 1, metrics: 1, surplus: 0 });
        })
        .await;
}

pub async fn the_corrected_time_counts_whatever_the_sender_wrote(engine: &impl Engine) {
    let wrote = |row: EventRow, ms| EventRow { ts_client: at(ms), ..row };
    let rows = vec![
        wrote(exposure("x", "u", TREATMENT, 1_000), 50_000),
        wrote(exposure("x-again", "u", TREATMENT, 5_000), 0),
        wrote(event("in", "u", 1.0, 1_000), 900_000),
        wrote(event("before", "u", 2.0, 999), 2_000),
        wrote(event("after", "u", 4.0, 11_000), 2_000),
    ];
    let expected = vec![("revenue", TREATMENT, Some((1, 1.0))), ("purchases", TREATMENT, Some((1, 1.0)))];
    Example { rows, through_ms: 60_000, query: question(), expected }.check(engine).await;
}

pub async fn units_that_an_excluded_run_has_seen_are_left_out_and_counted_once(engine: &impl Engine) {
    let of_run = |run, row| EventRow { run: Some(run), ..row };
    let mut rows = Vec::new();
    for unit in [
        "seen",
        "seen-by-another",
        "seen-twice",
        "seen-later",
        "served-only",
        "seen-as-account",
        "seen-late",
        "never-seen",
    ] {
        rows.push(exposure(&format!("x-{unit}"), unit, TREATMENT, 5_000));
        rows.push(event(&format!("e-{unit}"), unit, 1.0, 6_000));
    }
    rows.extend([
        received(of_run(6, exposure("1", "seen", CONTROL, 1_000)), 2_000),
        of_run(99, exposure("0", "seen-by-another", CONTROL, 1_000)),
        of_run(6, exposure("2", "seen-twice", TREATMENT, 1_000)),
        of_run(5, exposure("3", "seen-twice", TREATMENT, 1_000)),
        of_run(5, exposure("4", "seen-twice", CONTROL, 2_000)),
        // After the first exposure, and without a stage: it has been seen all the same.
        EventRow { stage: None, ..of_run(6, exposure("5", "seen-later", CONTROL, 9_000)) },
        EventRow { arm: None, ..of_run(6, exposure("6", "served-only", CONTROL, 1_000)) },
        of_account(&of_run(6, exposure("7", "u", CONTROL, 1_000)), "seen-as-account"),
        received(of_run(6, exposure("8", "seen-late", CONTROL, 1_000)), 2_001),
        EventRow { kind: RowKind::Metric, ..of_run(6, exposure("9", "never-seen", CONTROL, 1_000)) },
        of_run(4, exposure("10", "never-seen", CONTROL, 1_000)),
        // Of another environment.
        EventRow { environment: 2, ..of_run(6, exposure("11", "never-seen", CONTROL, 1_000)) },
        // Quarantined: in no arm's count anyway.
        of_run(6, exposure("12", "both", TREATMENT, 1_000)),
        exposure("13", "both", TREATMENT, 5_000),
        exposure("14", "both", CONTROL, 6_000),
        // In an arm that is not asked for, or not in this run.
        of_run(6, exposure("15", "control", CONTROL, 1_000)),
        exposure("16", "control", CONTROL, 5_000),
        of_run(6, exposure("17", "elsewhere", CONTROL, 1_000)),
        of_run(6, exposure("18", "no-arm", CONTROL, 1_000)),
        EventRow { arm: None, ..exposure("19", "no-arm", TREATMENT, 5_000) },
    ]);
    let query = MomentsQuery { exclude_runs: vec![6, 5, 99], arms: vec![TREATMENT.into()], ..question() };
    engine
        .on_rows(&[batch("a", 1, 1, 60_000, rows)], async |warehouse| {
            for (rule, excluded, left) in [(RowRule::Decision, 4, 4), (RowRule::Readout, 5, 3)] {
                let answer = warehouse.moments(&MomentsQuery { rule, ..query.clone() }).await.unwrap();
                assert_eq!((answer.excluded_units, answer.crossover_units), (excluded, 1), "{rule:?}");
                assert_eq!(total(&answer, "revenue", TREATMENT), Some((left, left as f64)), "{rule:?}");
                assert_eq!(answer.arms.iter().map(|arm| arm.units).collect::<Vec<_>>(), [left], "{rule:?}");
                assert_eq!(answer.treated_units, 10, "they were served all the same");
            }
            // What excludes one of them has not been received yet.
            let early = MomentsQuery { as_of: Some(at(8_999)), rule: RowRule::Readout, ..query.clone() };
            assert_eq!(warehouse.moments(&early).await.unwrap().excluded_units, 4);
            let nobody_excluded = MomentsQuery { exclude_runs: vec![], ..query.clone() };
            let answer = warehouse.moments(&nobody_excluded).await.unwrap();
            assert_eq!((answer.excluded_units, answer.arms[0].units), (0, 8));
        })
        .await;
}
