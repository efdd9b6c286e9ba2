//! A [`MomentsQuery`] made ready to be written as SQL: instants and spans in microseconds, limits resolved once.

use liftgate_domain::{Aggregate, Cap, Metric, MetricKind, MetricQuery, MomentsQuery, RowRule, Span, Watermark};
use liftgate_evaluator::{BUCKETS, Design};

/// Spans and lateness are cut here, at 36 000 years, so that sums of instants and spans stay within 64 bits.
const SPAN_MICROS_MAX: i64 = 1 << 60;

/// A question, ready to be asked.
pub(super) struct Question<'a> {
    pub(super) query: &'a MomentsQuery,
    /// How far each node's rows are seen.
    pub(super) seen: Seen,
    /// Present for decisions.
    pub(super) closing: Option<Closing>,
    pub(super) metrics: Vec<AskedMetric<'a>>,
}

/// The latest receipt of a row that is seen, in microseconds.
pub(super) struct Seen {
    /// Of any row.
    pub(super) through: Option<i64>,
    /// Of the rows of a node, by its name. Makes several statements see the same rows while nodes go on writing.
    pub(super) by_node: Vec<(String, i64)>,
}

/// What lets a row and a unit into a decision.
#[derive(Copy, Clone)]
pub(super) struct Closing {
    pub(super) as_of: i64,
    pub(super) lateness: i64,
}

/// A metric's variables and where they are among those of all metrics.
pub(super) struct AskedMetric<'a> {
    pub(super) asked: &'a MetricQuery,
    pub(super) window: i64,
    pub(super) variables: Vec<Variable<'a>>,
}

/// What one variable makes of a unit's rows.
pub(super) struct Variable<'a> {
    pub(super) event: &'a str,
    /// From and to this long after the first exposure.
    pub(super) from: i64,
    pub(super) to: i64,
    pub(super) fold: Fold<'a>,
}

pub(super) enum Fold<'a> {
    /// 1 when there is a row, else 0.
    Any,
    Count,
    /// Of a property; of the row's own value when absent.
    Sum(Option<&'a str>),
    /// Rows with a finite number, up to a cut when there is one.
    CountNumbers(Option<&'a str>, Option<f64>),
}

impl<'a> Question<'a> {
    /// `None` when no node has written: there is nothing to ask.
    pub(super) fn of(query: &'a MomentsQuery, watermark: &Watermark) -> Option<Self> {
        let reached = watermark.time()?.as_micros();
        let asked = query.as_of.map(|as_of| as_of.as_micros());
        let as_of = asked.unwrap_or(i64::MAX).min(reached);
        let (seen, closing) = match query.rule {
            RowRule::Decision => {
                let lateness = micros(i64::try_from(query.lateness_ms).unwrap_or(i64::MAX));
                // Every node's rows up to then are visible already.
                (Seen { through: Some(as_of), by_node: Vec::new() }, Some(Closing { as_of, lateness }))
            }
            RowRule::Readout => {
                let nodes = watermark.nodes.iter();
                let by_node = nodes.map(|(node, mark)| (node.clone(), mark.received_at.as_micros())).collect();
                (Seen { through: asked, by_node }, None)
            }
        };
        let metrics = query.metrics.iter().map(AskedMetric::of).collect();
        Some(Self { query, seen, closing, metrics })
    }

    /// The variations of a ramp.
    pub(super) fn variations(&self) -> Option<(&'a str, &'a str)> {
        match &self.query.history.design {
            Design::Ramp { treatment, control } => Some((treatment, control)),
            Design::Split { .. } => None,
        }
    }

    /// The events that some metric reads, each once.
    pub(super) fn events(&self) -> Vec<&'a str> {
        let variables = self.metrics.iter().flat_map(|metric| &metric.variables);
        let mut events: Vec<&str> = variables.map(|variable| variable.event).collect();
        events.sort_unstable();
        events.dedup();
        events
    }

    /// What numbers some variable reads: the rows' own values, or a property.
    pub(super) fn numbers(&self) -> Vec<Option<&'a str>> {
        let variables = self.metrics.iter().flat_map(|metric| &metric.variables);
        let mut numbers: Vec<Option<&str>> = variables.filter_map(|variable| variable.fold.number()).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }
}

impl<'a> Fold<'a> {
    fn number(&self) -> Option<Option<&'a str>> {
        match self {
            Self::Any | Self::Count => None,
            Self::Sum(number) | Self::CountNumbers(number, _) => Some(*number),
        }
    }
}

impl<'a> AskedMetric<'a> {
    fn of(asked: &'a MetricQuery) -> Self {
        let metric = &asked.metric;
        let window = span(metric.window);
        let delay = metric.delay.map_or(0, span);
        let mut variables = Vec::new();
        if metric.kind == MetricKind::Quantile {
            let cuts = asked.cuts.iter().map(|cut| Some(*cut));
            variables.extend([None].into_iter().chain(cuts).map(|cut| Variable {
                event: &metric.event,
                from: delay,
                to: window,
                fold: Fold::CountNumbers(metric.value.as_deref(), cut),
            }));
            return Self { asked, window, variables };
        }
        let lookback = asked.lookback.map(|lookback| (-span(lookback), 0));
        for (from, to) in [Some((delay, window)), lookback].into_iter().flatten() {
            let (event, fold) = value_of(metric);
            variables.push(Variable { event, from, to, fold });
            if let (MetricKind::Ratio, Some(denominator)) = (metric.kind, &metric.denominator) {
                let fold = of_aggregate(denominator.aggregate, denominator.value.as_deref());
                variables.push(Variable { event: &denominator.event, from, to, fold });
            }
        }
        Self { asked, window, variables }
    }

    /// The percentiles at which the metric's value, and of a ratio its denominator, are capped, as shares.
    pub(super) fn cap_shares(&self) -> Vec<f64> {
        match self.cap() {
            Some(Cap::Percentile(percent)) => vec![percent / 100.0; if self.is_ratio() { 2 } else { 1 }],
            _ => Vec::new(),
        }
    }

    /// The cap, of the kinds that have one.
    pub(super) fn cap(&self) -> Option<Cap> {
        let metric = &self.asked.metric;
        metric.cap.filter(|_| matches!(metric.kind, MetricKind::Mean | MetricKind::Count | MetricKind::Ratio))
    }

    fn is_ratio(&self) -> bool {
        self.asked.metric.kind == MetricKind::Ratio && self.asked.metric.denominator.is_some()
    }

    pub(super) fn is_quantile(&self) -> bool {
        self.asked.metric.kind == MetricKind::Quantile
    }
}

fn value_of(metric: &Metric) -> (&str, Fold<'_>) {
    let fold = match metric.kind {
        MetricKind::Proportion | MetricKind::Retention => Fold::Any,
        MetricKind::Count => Fold::Count,
        MetricKind::Mean | MetricKind::Quantile => Fold::Sum(metric.value.as_deref()),
        MetricKind::Ratio => of_aggregate(metric.aggregate.unwrap_or_default(), metric.value.as_deref()),
    };
    (&metric.event, fold)
}

fn of_aggregate(aggregate: Aggregate, value: Option<&str>) -> Fold<'_> {
    match aggregate {
        Aggregate::Sum => Fold::Sum(value),
        Aggregate::Count => Fold::Count,
    }
}

/// When a unit leaves, as columns of SQL of which the last is `leaves_at`, over `first_ts`, `stage`, `arm` and `bucket`
/// (-1 when unknown), `treatment` being the number of the treatment's arm: the end of the run, or the first later stage of a ramp in which the unit or its mirror image
/// changes sides.
pub(super) fn leaves_at(question: &Question<'_>, treatment: usize) -> String {
    let history = &question.query.history;
    let never = i64::MAX;
    let end = history.ended_at.map_or(never, |end| end.as_micros());
    if question.variations().is_none() {
        return format!("toInt64({end}) AS leaves_at");
    }
    let list = |numbers: Vec<String>, kind| super::statement::array(numbers, kind);
    let stages = list(history.stages.iter().map(|entry| entry.stage.to_string()).collect(), "UInt32");
    let shares = list(history.stages.iter().map(|entry| entry.share.parts().to_string()).collect(), "Int64");
    let since = list(history.stages.iter().map(|entry| entry.since.as_micros().to_string()).collect(), "Int64");
    // `entered` is the position of the unit's stage: the latest coming that had begun, else the first; 0 when none.
    // `distance` is how far the bucket is from the end of the line at which the arm begins; a unit whose bucket is not
    // known is taken to be the first of its stage to switch.
    format!(
        "{stages} AS stages, {shares} AS shares, {since} AS since, \
         arrayLastIndex((n, s) -> n = stage AND s <= first_ts, stages, since) AS begun, \
         if(begun > 0, begun, arrayFirstIndex(n -> n = stage, stages)) AS entered, shares[entered] AS share, \
         toInt64(if(entered = 0, {BUCKETS}, least(share, {BUCKETS} - share))) AS analysed_share, \
         if(arm = {treatment}, bucket + 1, {BUCKETS} - least(bucket, {BUCKETS})) AS known_distance, \
         least({BUCKETS}, if(bucket < 0, analysed_share, known_distance)) AS distance, \
         arrayFirstIndex((i, s) -> i > entered AND s > {BUCKETS} - distance, arrayEnumerate(shares), shares) AS moves, \
         least(toInt64({end}), if(moves = 0, toInt64({never}), since[moves])) AS leaves_at"
    )
}

fn span(span: Span) -> i64 {
    micros(span.as_ms_i64())
}

fn micros(ms: i64) -> i64 {
    ms.saturating_mul(1_000).clamp(-SPAN_MICROS_MAX, SPAN_MICROS_MAX)
}
