//! Asks a question, statement by statement, and puts the answers together.

use std::collections::BTreeMap;

use clickhouse::Row;
use liftgate_domain::{
    ArmCount, Capping, Cell, MomentsAnswer, MomentsQuery, QuantileCell, Slice, SliceValue, StoreError, Timestamp,
    Watermark,
};
use liftgate_stats::{JointMoments, Moments};
use serde::Deserialize;

use super::connection::Connection;
use super::population::{self, ABSENT, CODES, FirstBy, OTHER};
use super::question::{AskedMetric, Question};
use super::relation::Relation;
use super::repeats::KnownRepeats;
use super::statement::Parameters;
use super::values::{self, Caps};

#[derive(Row, Deserialize)]
struct Summary {
    treated: u64,
    crossover: u64,
    excluded: u64,
    last_treatment_at: Option<i64>,
    last_control_at: Option<i64>,
    /// Units of whose first exposures at one instant not all say the same.
    ambiguous: u64,
}

#[derive(Row, Deserialize)]
struct Largest {
    dimension: u16,
    value: String,
}

/// All metrics of the units of one place, stage and arm.
#[derive(Clone, Debug, PartialEq, Row, Deserialize)]
struct CellRow {
    place: u32,
    stage: u32,
    /// Its number among the asked ones, from 1.
    arm: u32,
    units: u64,
    counts: Vec<u64>,
    means: Vec<f64>,
    co: Vec<f64>,
    capped: Vec<u64>,
    odd: Vec<u64>,
}

#[derive(Row, Deserialize)]
struct QuantileRow {
    place: u32,
    arm: u32,
    events: u64,
    numbers_at: Vec<f64>,
}

/// Where units count, in the order of answers: the whole population, then the slices.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Whole,
    Slice(usize, SliceValue),
}

/// Answers a question as of this watermark, which every row that is asked for is covered by.
pub(super) async fn answer(
    connection: &Connection,
    known: &KnownRepeats,
    query: &MomentsQuery,
    watermark: Watermark,
) -> Result<MomentsAnswer, StoreError> {
    let answer = MomentsAnswer { watermark, ..MomentsAnswer::default() };
    let Some(question) = Question::of(query, &answer.watermark) else {
        return Ok(answer);
    };
    let client = connection.reading();
    let repeats = known.find(connection, query.environment, &answer.watermark).await?;
    let relation = Relation { environment: query.environment, seen: &question.seen, repeats: &repeats };
    let mut parameters = Parameters::default();
    let sql = population::summary(&question, &relation, &mut parameters);
    let summary: Summary = connection.row(parameters.query(&client, &sql)).await?;

    let mut largest = vec![Vec::new(); query.slices.len()];
    if !query.slices.is_empty() {
        let sql = population::largest(&question, &relation, &mut parameters);
        for found in connection.rows::<Largest>(parameters.query(&client, &sql)).await? {
            largest[usize::from(found.dimension)].push(found.value);
        }
    }
    let first_by =
        if query.slices.is_empty() && summary.ambiguous == 0 { FirstBy::Instant } else { FirstBy::InstantAndId };
    let analysed = population::analysed(&question, &relation, &largest, first_by, &mut parameters)?;
    let by_unit = values::by_unit(&question, &relation, &analysed, &mut parameters);
    let cap_values: Vec<f64> = match values::cap_values(&question, &by_unit) {
        Some(sql) => connection.row(parameters.query(&client, &sql)).await?,
        None => Vec::new(),
    };
    let caps = values::caps(&question, &cap_values);
    let sql = values::cells(&question, &by_unit, &caps);
    let cells: Vec<CellRow> = connection.rows(parameters.query(&client, &sql)).await?;
    let mut quantiles = Vec::new();
    for (position, metric) in question.metrics.iter().enumerate() {
        if metric.is_quantile() && !metric.asked.probabilities.is_empty() {
            let sql = values::quantiles(&question, metric, &relation, &analysed, &mut parameters);
            let rows: Vec<QuantileRow> = connection.rows(parameters.query(&client, &sql)).await?;
            quantiles.extend(rows.into_iter().map(|row| (position, row)));
        }
    }
    Ok(assemble(answer, &question, Parts { summary, largest, cells, quantiles, caps }))
}

/// The answers of the statements.
struct Parts {
    summary: Summary,
    /// The values of each dimension that units are told apart by.
    largest: Vec<Vec<String>>,
    cells: Vec<CellRow>,
    /// By position of the metric.
    quantiles: Vec<(usize, QuantileRow)>,
    caps: Caps,
}

/// Puts the answers of the statements in the order that answers have. Pure.
fn assemble(mut answer: MomentsAnswer, question: &Question<'_>, parts: Parts) -> MomentsAnswer {
    let Parts { summary, largest, cells, quantiles, caps } = parts;
    answer.treated_units = summary.treated;
    answer.crossover_units = summary.crossover;
    answer.excluded_units = summary.excluded;
    answer.last_treatment_at = summary.last_treatment_at.map(Timestamp);
    answer.last_control_at = summary.last_control_at.map(Timestamp);

    let query = question.query;
    let rows: BTreeMap<(Place, u32, &str), CellRow> = cells
        .into_iter()
        .map(|row| ((Place::of(row.place, &largest), row.stage, arm_of(query, row.arm)), row))
        .collect();
    answer.arms = rows
        .iter()
        .map(|((place, stage, arm), row)| ArmCount {
            slice: place.slice(query),
            stage: *stage,
            arm: (*arm).to_owned(),
            units: row.units,
        })
        .collect();
    let (mut means_at, mut co_at) = (0, 0);
    for (m, metric) in question.metrics.iter().enumerate() {
        let variables = metric.variables.len();
        let co_length = variables * (variables + 1) / 2;
        let (mut entered, mut capped) = (0, 0);
        for ((place, stage, arm), row) in rows.iter().filter(|(_, row)| row.counts[m] > 0) {
            let joint = JointMoments {
                n: row.counts[m],
                mean: row.means[means_at..means_at + variables].to_vec(),
                co: row.co[co_at..co_at + co_length].to_vec(),
            };
            if *place == Place::Whole {
                entered += row.counts[m];
                capped += row.capped[m];
                answer.non_finite += row.odd[m];
            }
            let moments: Moments = joint.moments(0);
            answer.cells.push(Cell {
                metric: metric.asked.key.clone(),
                slice: place.slice(query),
                stage: *stage,
                arm: (*arm).to_owned(),
                moments,
                joint: (variables > 1).then_some(joint),
            });
        }
        if let (Some(at), true) = (caps[m].first(), entered > 0) {
            let denominator_at = caps[m].get(1).copied();
            answer.capping.push(Capping { metric: metric.asked.key.clone(), at: *at, denominator_at, units: capped });
        }
        (means_at, co_at) = (means_at + variables, co_at + co_length);
        let of_metric = quantiles.iter().filter(|(of, _)| *of == m).map(|(_, row)| row);
        let of_metric = of_metric.map(|row| ((Place::of(row.place, &largest), arm_of(query, row.arm)), row)).collect();
        answer.quantiles.extend(quantile_cells(query, metric, &of_metric));
    }
    answer
}

fn quantile_cells(
    query: &MomentsQuery,
    metric: &AskedMetric<'_>,
    rows: &BTreeMap<(Place, &str), &QuantileRow>,
) -> Vec<QuantileCell> {
    let cells = |((place, arm), row): (&(Place, &str), &&QuantileRow)| {
        let at = metric.asked.probabilities.iter().zip(&row.numbers_at);
        let cell = |(probability, value): (&f64, &f64)| QuantileCell {
            metric: metric.asked.key.clone(),
            slice: place.slice(query),
            arm: (*arm).to_owned(),
            probability: *probability,
            value: *value,
            events: row.events,
        };
        at.map(cell).collect::<Vec<_>>()
    };
    rows.iter().flat_map(cells).collect()
}

impl Place {
    fn of(place: u32, largest: &[Vec<String>]) -> Self {
        let Some(dimension) = (place / CODES).checked_sub(1) else {
            return Self::Whole;
        };
        let value = match place % CODES {
            ABSENT => SliceValue::Absent,
            OTHER => SliceValue::Other,
            position => SliceValue::Is(largest[dimension as usize][position as usize].clone()),
        };
        Self::Slice(dimension as usize, value)
    }

    fn slice(&self, query: &MomentsQuery) -> Option<Slice> {
        match self {
            Self::Whole => None,
            Self::Slice(position, value) => {
                Some(Slice { dimension: query.slices[*position].clone(), value: value.clone() })
            }
        }
    }
}

/// The name of an asked arm by its number, from 1.
fn arm_of(query: &MomentsQuery, number: u32) -> &str {
    &query.arms[number as usize - 1]
}

#[cfg(test)]
mod tests {
    use liftgate_domain::{Cap, Dimension, Key, Metric, MetricKind, MetricQuery, NodeMark, RowRule, Span};
    use liftgate_evaluator::{Design, RunHistory, RunKind};
    use liftgate_stats::Direction;
    use serde_json::json;

    use super::*;

    fn query() -> MomentsQuery {
        let metric = |key: &str, kind| {
            let metric = Metric::new(kind, "buy", Span::from_ms(1_000), Direction::Increase);
            MetricQuery::new(Key::new(key).unwrap(), metric)
        };
        let mut revenue = metric("revenue", MetricKind::Mean);
        (revenue.metric.cap, revenue.lookback) = (Some(Cap::Percentile(99.0)), Some(Span::from_ms(1_000)));
        let mut latency = metric("latency", MetricKind::Quantile);
        (latency.metric.quantile, latency.probabilities) = (Some(0.5), vec![0.9, 0.5]);
        MomentsQuery {
            environment: 1,
            history: RunHistory {
                dialect: liftgate_evaluator::Dialect::Native,
                number: 7,
                kind: RunKind::Experiment,
                key: Key::new("run").unwrap(),
                unit: "user".into(),
                salt: "salt".into(),
                design: Design::Split { ranges: vec![] },
                stages: vec![],
                ended_at: None,
            },
            arms: vec!["b".into(), "a".into()],
            metrics: vec![revenue, latency],
            slices: vec![Dimension::Attribute("plan".into())],
            exclude_runs: vec![],
            lateness_ms: 0,
            rule: RowRule::Readout,
            as_of: None,
        }
    }

    fn cell(place: u32, arm: u32, n: u64) -> CellRow {
        CellRow {
            place,
            stage: 0,
            arm,
            units: 10,
            counts: vec![n, 1],
            means: vec![2.0, 3.0, 4.0],
            co: vec![5.0, 6.0, 7.0, 8.0],
            capped: vec![1, 0],
            odd: vec![1, 2],
        }
    }

    #[test]
    fn answers_are_in_order_and_each_metric_has_its_own_numbers() {
        let query = query();
        let mark = NodeMark { epoch: 1, sequence: 1, received_at: Timestamp(9) };
        let watermark = Watermark { nodes: [("n".to_owned(), mark)].into() };
        let question = Question::of(&query, &watermark).unwrap();
        let quantile = |place, arm| (1, QuantileRow { place, arm, events: 4, numbers_at: vec![9.0, 5.0] });
        let parts = Parts {
            summary: Summary {
                treated: 1,
                crossover: 2,
                excluded: 3,
                last_treatment_at: None,
                last_control_at: Some(4),
                ambiguous: 0,
            },
            largest: vec![vec!["pro".into(), "free".into()]],
            // In no order: slices Other, Absent, `pro`, `free`, then the whole population, arms `b` (1) and `a` (2).
            cells: vec![
                cell(CODES + OTHER, 1, 3),
                cell(CODES + ABSENT, 1, 3),
                cell(CODES, 1, 3),
                cell(CODES + 1, 2, 0),
                cell(0, 1, 3),
                cell(0, 2, 4),
            ],
            quantiles: vec![quantile(CODES, 1), quantile(0, 1)],
            caps: vec![vec![50.0], vec![]],
        };
        let answer = assemble(MomentsAnswer::default(), &question, parts);
        let plan = |value| json!({"dimension": {"attribute": "plan"}, "value": value});
        let slices = [json!(null), json!(null), plan(json!({"is": "free"})), plan(json!({"is": "pro"}))];
        let slices = slices.into_iter().chain([plan(json!("absent")), plan(json!("other"))]).collect::<Vec<_>>();
        let arms: Vec<_> = answer.arms.iter().map(|arm| (json!(arm.slice), arm.arm.as_str())).collect();
        assert_eq!(arms, slices.into_iter().zip(["a", "b", "a", "b", "b", "b"]).collect::<Vec<_>>());
        let of = |metric: &str| answer.cells.iter().filter(|cell| cell.metric == metric).collect::<Vec<_>>();
        let (revenue, latency) = (of("revenue"), of("latency"));
        assert_eq!((revenue.len(), latency.len()), (5, 6), "a cell without units is none");
        assert_eq!(revenue[0].joint, Some(JointMoments { n: 4, mean: vec![2.0, 3.0], co: vec![5.0, 6.0, 7.0] }));
        assert_eq!((latency[0].moments, latency[0].joint.is_none()), (Moments { n: 1, mean: 4.0, m2: 8.0 }, true));
        assert_eq!((answer.non_finite, answer.last_control_at), (6, Some(Timestamp(4))), "of the whole population");
        assert_eq!(json!(answer.capping), json!([{"metric": "revenue", "at": 50.0, "units": 2}]));
        let quantiles: Vec<_> = answer.quantiles.iter().map(|cell| (cell.slice.is_some(), cell.probability)).collect();
        assert_eq!(quantiles, [(false, 0.9), (false, 0.5), (true, 0.9), (true, 0.5)]);
    }
}
