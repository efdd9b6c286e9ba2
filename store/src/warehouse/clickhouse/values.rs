//! What each metric makes of each analysed unit's rows, as SQL: one pass over the events for all metrics.

use liftgate_domain::Cap;

use super::population::places;
use super::question::{AskedMetric, Fold, Question, Variable};
use super::relation::{RECEIVED, Relation, TS};
use super::statement::{Parameters, array, float};

const COLUMNS: [&str; 9] = ["kind", "unit_type", "unit_hash", "name", "ts", "received_at", "value", "numbers", "node"];

/// The largest value and denominator that count, by metric.
pub(super) type Caps = Vec<Vec<f64>>;

/// Rows of metric events beside the unit they belong to; a unit without any has one row of no event. Columns: the
/// unit's, `event` (its position in [`Question::events`] from 1, else 0), `since` and `received_since` its first
/// exposure, and of each of [`Question::numbers`] `number_N` (0 when there is none) and `has_N`.
fn joined(question: &Question<'_>, relation: &Relation<'_>, analysed: &str, parameters: &mut Parameters) -> String {
    let unit_type = parameters.text(&question.query.history.unit);
    let events = parameters.texts(question.events());
    let condition = format!("kind = 'metric' AND unit_type = {unit_type} AND name IN {events}");
    let rows = relation.select(&COLUMNS, &condition, parameters);
    let (mut read, mut passed) = (String::new(), String::new());
    for (n, number) in question.numbers().into_iter().enumerate() {
        let (number, has) = match number {
            None => ("ifNull(value, 0)".to_owned(), "isNotNull(value)".to_owned()),
            Some(name) => {
                let name = parameters.text(name);
                (format!("numbers[{name}]"), format!("mapContains(numbers, {name})"))
            }
        };
        read.push_str(&format!(", {number} AS number_{n}, {has} AS has_{n}"));
        passed.push_str(&format!(", row.number_{n} AS number_{n}, row.has_{n} AS has_{n}"));
    }
    format!(
        "SELECT unit.unit_hash AS unit_hash, unit.first_ts AS first_ts, unit.stage AS stage, unit.arm AS arm, \
         unit.leaves_at AS leaves_at, unit.code AS code, row.event AS event, row.at - unit.first_ts AS since, \
         row.received - unit.first_ts AS received_since{passed} FROM \
         (SELECT unit_hash, indexOf({events}, name) AS event, {TS} AS at, {RECEIVED} AS received{read} \
         FROM ({rows})) AS row RIGHT JOIN ({analysed}) AS unit ON row.unit_hash = unit.unit_hash"
    )
}

/// The analysed units with their values: `stage`, `arm`, `code`, and of each metric `entered_M` (it counts in the
/// metric's cells), `value_M_V` of each variable, `odd_M` (rows whose number is not finite, sums that became too large).
pub(super) fn by_unit(
    question: &Question<'_>,
    relation: &Relation<'_>,
    analysed: &str,
    parameters: &mut Parameters,
) -> String {
    let mut folded = Vec::new();
    let mut finished = Vec::new();
    for (m, metric) in question.metrics.iter().enumerate() {
        finished.push(format!("{} AS entered_{m}", entered(question, metric, "unit_")));
        let mut odd = vec!["0".to_owned()];
        for (v, variable) in metric.variables.iter().enumerate() {
            let counts = counts(question, metric, variable);
            match &variable.fold {
                Fold::Any => {
                    folded.push(format!("countIf({counts}) AS raw_{m}_{v}"));
                    finished.push(format!("toFloat64(raw_{m}_{v} > 0) AS value_{m}_{v}"));
                }
                Fold::Count => {
                    folded.push(format!("countIf({counts}) AS raw_{m}_{v}"));
                    finished.push(format!("toFloat64(raw_{m}_{v}) AS value_{m}_{v}"));
                }
                Fold::Sum(property) => {
                    let (number, _) = number(question, *property);
                    folded.push(format!("sumIf({number}, {counts} AND isFinite({number})) AS raw_{m}_{v}"));
                    folded.push(format!("countIf({counts} AND NOT isFinite({number})) AS odd_{m}_{v}"));
                    finished.push(format!("if(isFinite(raw_{m}_{v}), raw_{m}_{v}, 0) AS value_{m}_{v}"));
                    odd.push(format!("odd_{m}_{v} + (NOT isFinite(raw_{m}_{v}))"));
                }
                Fold::CountNumbers(property, cut) => {
                    let (number, has) = number(question, *property);
                    let up_to = cut.map_or_else(String::new, |cut| format!(" AND {number} <= {}", float(cut)));
                    folded.push(format!("countIf({counts} AND {has} AND isFinite({number}){up_to}) AS raw_{m}_{v}"));
                    finished.push(format!("toFloat64(raw_{m}_{v}) AS value_{m}_{v}"));
                    if cut.is_none() {
                        folded.push(format!("countIf({counts} AND {has} AND NOT isFinite({number})) AS odd_{m}_{v}"));
                        odd.push(format!("odd_{m}_{v}"));
                    }
                }
            }
        }
        finished.push(format!("toUInt64({}) AS odd_{m}", odd.join(" + ")));
    }
    let finished = finished.iter().map(|column| format!(", {column}")).collect::<String>();
    if question.metrics.is_empty() {
        return format!("SELECT stage, arm, code FROM ({analysed})");
    }
    let folded = folded.iter().map(|column| format!(", {column}")).collect::<String>();
    let joined = joined(question, relation, analysed, parameters);
    format!(
        "SELECT unit_stage AS stage, unit_arm AS arm, unit_code AS code{finished} FROM (SELECT unit_hash, \
         any(first_ts) AS unit_first_ts, any(stage) AS unit_stage, any(arm) AS unit_arm, \
         any(leaves_at) AS unit_leaves_at, any(code) AS unit_code{folded} FROM ({joined}) GROUP BY unit_hash)"
    )
}

/// Counts, means and co-moments by place, stage and arm.
pub(super) fn cells(question: &Question<'_>, by_unit: &str, caps: &Caps) -> String {
    let (mut counts, mut means, mut co, mut capped, mut odd) = (vec![], vec![], vec![], vec![], vec![]);
    for (m, metric) in question.metrics.iter().enumerate() {
        let entered = format!("entered_{m}");
        counts.push(format!("countIf({entered})"));
        odd.push(format!("sumIf(odd_{m}, {entered})"));
        let cap = |v: usize| caps[m].get(v).map(|cap| float(*cap));
        let value = |v: usize| match cap(v) {
            Some(cap) => format!("least(value_{m}_{v}, {cap})"),
            None => format!("value_{m}_{v}"),
        };
        let above: Vec<String> =
            (0..caps[m].len()).filter_map(|v| cap(v).map(|cap| format!("value_{m}_{v} > {cap}"))).collect();
        let above = if above.is_empty() { "0".to_owned() } else { above.join(" OR ") };
        capped.push(format!("countIf({entered} AND ({above}))"));
        for i in 0..metric.variables.len() {
            means.push(format!("avgIf({}, {entered})", value(i)));
            // The stable form updates deviations from the mean: sums of squares lose all digits at a large offset.
            co.extend(
                (0..=i)
                    .map(|j| format!("covarPopStableIf({}, {}, {entered}) * countIf({entered})", value(i), value(j))),
            );
        }
    }
    format!(
        "SELECT place, stage, arm, count() AS units, {} AS counts, {} AS means, {} AS co, {} AS capped, {} AS odd \
         FROM ({by_unit}) ARRAY JOIN {} AS place GROUP BY place, stage, arm",
        array(counts, "UInt64"),
        array(means, "Float64"),
        array(co, "Float64"),
        array(capped, "UInt64"),
        array(odd, "UInt64"),
        places(question.query.slices.len()),
    )
}

/// Is one row with the values at the percentiles of all caps that are percentiles, metric by metric.
pub(super) fn cap_values(question: &Question<'_>, by_unit: &str) -> Option<String> {
    let mut columns = Vec::new();
    for (m, metric) in question.metrics.iter().enumerate() {
        columns.extend(metric.cap_shares().iter().enumerate().map(|(v, share)| {
            let sorted = format!("arraySort(groupArrayIf(value_{m}_{v}, entered_{m}))");
            value_at(&sorted, &float(*share))
        }));
    }
    (!columns.is_empty()).then(|| format!("SELECT {} AS values FROM ({by_unit})", array(columns, "Float64")))
}

/// The values of a metric's events at its probabilities, by place and arm.
pub(super) fn quantiles(
    question: &Question<'_>,
    metric: &AskedMetric<'_>,
    relation: &Relation<'_>,
    analysed: &str,
    parameters: &mut Parameters,
) -> String {
    let variable = &metric.variables[0];
    let property = metric.asked.metric.value.as_deref();
    let counts = counts(question, metric, variable);
    let (number, has) = number(question, property);
    let entered = entered(question, metric, "");
    let shares = array(metric.asked.probabilities.iter().map(|share| float(*share)), "Float64");
    let joined = joined(question, relation, analysed, parameters);
    let places = places(question.query.slices.len());
    let at_share = value_at("sorted", "share");
    format!(
        "SELECT place, arm, length(sorted) AS events, arrayMap(share -> {at_share}, {shares}) AS numbers_at \
         FROM (SELECT place, arm, arraySort(groupArray(number)) AS sorted FROM (SELECT arm, code, {number} AS number \
         FROM ({joined}) WHERE {entered} AND {counts} AND {has} AND isFinite({number})) ARRAY JOIN {places} AS place \
         GROUP BY place, arm)"
    )
}

/// Of n sorted values the one at position `ceil(share * n)`, from 1; 0 when there are none.
fn value_at(sorted: &str, share: &str) -> String {
    let position = format!("toUInt64(ceil({share} * toFloat64(length({sorted}))))");
    format!("{sorted}[greatest(1, least({position}, length({sorted})))]")
}

/// Whether a unit counts in the metric's cells. `prefix` is that of the columns with its first exposure and its leave.
fn entered(question: &Question<'_>, metric: &AskedMetric<'_>, prefix: &str) -> String {
    question.closing.map_or_else(
        || "toUInt8(1)".to_owned(),
        |closing| {
            let end = format!("{prefix}first_ts + {}", metric.window);
            format!("({end} <= {prefix}leaves_at AND {end} + {} <= {})", closing.lateness, closing.as_of)
        },
    )
}

/// Whether a row is one of those that the variable reads.
fn counts(question: &Question<'_>, metric: &AskedMetric<'_>, variable: &Variable<'_>) -> String {
    let event = question.events().iter().position(|event| *event == variable.event).map_or(0, |position| position + 1);
    let in_time = question.closing.map_or_else(String::new, |closing| {
        format!(" AND received_since <= {}", metric.window.saturating_add(closing.lateness))
    });
    format!("event = {event} AND since >= {} AND since < {}{in_time}", variable.from, variable.to)
}

/// The columns with a row's number and whether it has one.
fn number(question: &Question<'_>, number: Option<&str>) -> (String, String) {
    let position = question.numbers().iter().position(|other| *other == number).unwrap_or_default();
    (format!("number_{position}"), format!("has_{position}"))
}

/// The caps as numbers: fixed ones as they are, percentiles from `values`, which come metric by metric.
pub(super) fn caps(question: &Question<'_>, values: &[f64]) -> Caps {
    let mut values = values.iter().copied();
    let of = |metric: &AskedMetric<'_>| match metric.cap() {
        None => Vec::new(),
        Some(Cap::Value(value)) => vec![value],
        Some(Cap::Percentile(_)) => values.by_ref().take(metric.cap_shares().len()).collect(),
    };
    question.metrics.iter().map(of).collect()
}
