//! Cases: the population told apart by attributes and by day.

use liftgate_domain::{
    Dimension, EventRow, MetricKind, MomentsAnswer, MomentsQuery, SLICE_VALUES_MAX, Slice, SliceValue,
};
use liftgate_evaluator::{CONTROL, TREATMENT};
use serde_json::{Value, json};

use super::engine::Engine;
use super::examples::*;

const DAY_MS: i64 = 86_400_000;

fn attribute(name: &str) -> Dimension {
    Dimension::Attribute(name.into())
}

/// The units of each value of a dimension, in the order of the answer.
fn units(answer: &MomentsAnswer, dimension: &Dimension) -> Vec<(SliceValue, u64)> {
    let value = |slice: &Slice| (slice.dimension == *dimension).then(|| slice.value.clone());
    answer.arms.iter().filter_map(|arm| Some((value(arm.slice.as_ref()?)?, arm.units))).collect()
}

fn is(text: &str) -> SliceValue {
    SliceValue::Is(text.into())
}

pub async fn the_first_exposure_says_what_slice_a_unit_is_in(engine: &impl Engine) {
    let values = [
        json!({"plan": "pro"}),
        json!({"plan": "5"}),
        json!({"plan": 5}),
        json!({"plan": 2.5}),
        json!({"plan": 1e21}),
        json!({"plan": -7}),
        json!({"plan": true}),
        json!({"plan": "true"}),
        json!({"plan": ""}),
        json!({"plan": "ü \"quoted\" \\ \n'"}),
        json!({"plan": null}),
        json!({"plan": ["pro"]}),
        json!({"plan": {"plan": "pro"}}),
        json!({"other": "pro"}),
        json!({}),
        Value::Null,
    ];
    let mut rows = Vec::new();
    for (number, properties) in values.into_iter().enumerate() {
        let (id, unit) = (format!("x{number:02}"), format!("u{number:02}"));
        rows.push(with_properties(exposure(&id, &unit, TREATMENT, 1_000), properties));
        // What comes later, or together with a larger id, does not matter.
        let again = |id: String, ms| with_properties(exposure(&id, &unit, TREATMENT, ms), json!({"plan": "later"}));
        rows.extend([again(format!("y{number:02}"), 1_000), again(format!("a{number:02}"), 1_001)]);
    }
    rows.push(event("e", "u00", 3.0, 2_000));
    let query = MomentsQuery { slices: vec![attribute("plan")], ..question() };
    engine
        .on_rows(&[batch("a", 1, 1, 60_000, rows)], async |warehouse| {
            let answer = warehouse.moments(&query).await.unwrap();
            let number = |text: &str| (is(text), 1);
            let expected = vec![
                number(""),
                number("-7"),
                number(&json!(1e21).to_string()),
                number("2.5"),
                (is("5"), 2),
                number("pro"),
                (is("true"), 2),
                number("ü \"quoted\" \\ \n'"),
                (SliceValue::Absent, 6),
            ];
            assert_eq!(units(&answer, &attribute("plan")), expected);
            let whole = json!({"stage": 0, "arm": "treatment", "units": 16});
            assert_eq!(json!(answer.arms[0]), whole);
            let revenue = |value: SliceValue| {
                let slice = Some(Slice { dimension: attribute("plan"), value });
                let mut cells = answer.cells.iter().filter(|cell| cell.metric == "revenue" && cell.slice == slice);
                (cells.next().map(|cell| (cell.moments.n, cell.moments.mean)), cells.count())
            };
            assert_eq!(revenue(is("pro")), (Some((1, 3.0)), 0));
            assert_eq!(revenue(SliceValue::Absent), (Some((6, 0.0)), 0));
            assert_eq!(revenue(is("later")), (None, 0));
        })
        .await;
}

pub async fn the_values_with_the_most_units_are_told_apart(engine: &impl Engine) {
    // 103 values have a unit each; one of the last has a second one, and another has many that nobody asks for.
    let mut rows = Vec::new();
    let mut add = |value: usize, unit: &str, arm: &str| {
        let row = exposure(&format!("x-{unit}"), unit, arm, 1_000);
        rows.push(with_properties(row, json!({"device": format!("d{value:03}")})));
    };
    for value in 0..103 {
        add(value, &format!("u{value:03}"), TREATMENT);
    }
    add(102, "second", TREATMENT);
    for number in 0..5 {
        add(101, &format!("c{number}"), CONTROL);
    }
    rows.push(exposure("no-device", "no-device", TREATMENT, 1_000));
    let mut query = MomentsQuery { slices: vec![attribute("device")], arms: vec![TREATMENT.into()], ..question() };
    query.metrics.truncate(1);
    engine
        .on_rows(&[batch("a", 1, 1, 60_000, rows)], async |warehouse| {
            let answer = warehouse.moments(&query).await.unwrap();
            let mut expected: Vec<_> = (0..99).map(|value| (is(&format!("d{value:03}")), 1)).collect();
            expected.push((is("d102"), 2));
            assert_eq!(expected.len(), SLICE_VALUES_MAX);
            expected.extend([(SliceValue::Absent, 1), (SliceValue::Other, 3)]);
            assert_eq!(units(&answer, &attribute("device")), expected);
            // Asked for both arms, the one with the many units is among them.
            let both = MomentsQuery { arms: vec![TREATMENT.into(), CONTROL.into()], ..query.clone() };
            let answer = warehouse.moments(&both).await.unwrap();
            let units = units(&answer, &attribute("device"));
            assert_eq!(units.iter().filter(|(value, _)| *value == is("d101")).map(|(_, units)| units).sum::<u64>(), 6);
            assert!(!units.iter().any(|(value, _)| *value == is("d098")));
            assert_eq!(units.last(), Some(&(SliceValue::Other, 3)));
        })
        .await;
}

pub async fn days_end_at_midnight_utc(engine: &impl Engine) {
    let midnight = 20_000 * DAY_MS;
    let rows = vec![
        exposure("1", "u1", TREATMENT, midnight - 1),
        exposure("2", "u2", TREATMENT, midnight),
        exposure("3", "u3", TREATMENT, midnight + DAY_MS - 1),
        // The corrected time counts, not the sender's.
        EventRow { ts_client: at(midnight - 1), ..exposure("4", "u4", TREATMENT, midnight + DAY_MS) },
    ];
    let mut query = MomentsQuery { slices: vec![Dimension::ExposureDay], ..question() };
    query.history = ramp(&[(5.0, midnight - DAY_MS)]);
    engine
        .on_rows(&[batch("a", 1, 1, midnight + 2 * DAY_MS, rows)], async |warehouse| {
            let answer = warehouse.moments(&query).await.unwrap();
            let expected = [(is("2024-10-03"), 1), (is("2024-10-04"), 2), (is("2024-10-05"), 1)];
            assert_eq!(units(&answer, &Dimension::ExposureDay), expected);
        })
        .await;
}

pub async fn lists_are_in_the_order_of_the_question(engine: &impl Engine) {
    let first = |id: &str, unit: &str, arm: &str, stage, properties| EventRow {
        stage: Some(stage),
        ..with_properties(exposure(id, unit, arm, 1_000), properties)
    };
    let rows = vec![
        first("1", "u1", TREATMENT, 1, json!({"b": "x", "a": "z"})),
        first("2", "u2", TREATMENT, 0, json!({"b": "y"})),
        first("3", "u3", CONTROL, 1, json!({"a": "w", "b": "x"})),
        event("4", "u1", 1.0, 2_000),
        event("5", "u3", 2.0, 2_000),
    ];
    let mut price = metric("a-price", MetricKind::Quantile, "purchase", 10_000);
    price.metric.quantile = Some(0.5);
    price.probabilities = vec![0.9, 0.1];
    let mut query = MomentsQuery { slices: vec![attribute("b"), attribute("a")], ..question() };
    query.metrics = vec![metric("z-buyers", MetricKind::Proportion, "purchase", 10_000), price];
    query.history = ramp(&[(5.0, 0), (10.0, 500)]);
    let place = |slice: &Option<Slice>| match slice {
        None => "all".to_owned(),
        Some(Slice { dimension: Dimension::Attribute(name), value: SliceValue::Is(text) }) => format!("{name}={text}"),
        Some(Slice { dimension, value }) => format!("{dimension:?} {value:?}"),
    };
    engine
        .on_rows(&[batch("a", 1, 1, 60_000, rows)], async |warehouse| {
            let answer = warehouse.moments(&query).await.unwrap();
            let absent = "Attribute(\"a\") Absent";
            let arms: Vec<_> = answer.arms.iter().map(|arm| (place(&arm.slice), arm.stage, arm.arm.as_str())).collect();
            let expected = [
                ("all", 0, TREATMENT),
                ("all", 1, CONTROL),
                ("all", 1, TREATMENT),
                ("b=x", 1, CONTROL),
                ("b=x", 1, TREATMENT),
                ("b=y", 0, TREATMENT),
                ("a=w", 1, CONTROL),
                ("a=z", 1, TREATMENT),
                (absent, 0, TREATMENT),
            ];
            let expected = expected.map(|(place, stage, arm)| (place.to_owned(), stage, arm));
            assert_eq!(arms, expected);
            let cells: Vec<_> = answer.cells.iter().map(|cell| (place(&cell.slice), cell.stage, &*cell.arm)).collect();
            assert_eq!(cells, [expected.clone(), expected].concat());
            let metrics: Vec<_> = answer.cells.iter().map(|cell| cell.metric.as_str()).collect();
            assert_eq!(metrics, [["z-buyers"; 9], ["a-price"; 9]].concat());
            let quantiles: Vec<_> = answer
                .quantiles
                .iter()
                .map(|quantile| (place(&quantile.slice), quantile.arm.as_str(), quantile.probability, quantile.value))
                .collect();
            let of =
                |place: &str, arm, value| [(place.to_owned(), arm, 0.9, value), (place.to_owned(), arm, 0.1, value)];
            let expected = [
                of("all", CONTROL, 2.0),
                of("all", TREATMENT, 1.0),
                of("b=x", CONTROL, 2.0),
                of("b=x", TREATMENT, 1.0),
                of("a=w", CONTROL, 2.0),
                of("a=z", TREATMENT, 1.0),
            ];
            assert_eq!(quantiles, expected.concat());
        })
        .await;
}
