//! Who was exposed to the run, as SQL: one row a unit with its first exposure. Everything that is passed on is a number:
//! the server folds numbers several times faster than texts.

use liftgate_domain::{Dimension, SLICE_VALUES_MAX, StoreError};
use liftgate_evaluator::TREATMENT;

use super::question::{Question, leaves_at};
use super::relation::{RECEIVED, Relation, TS};
use super::statement::{Parameters, array};

/// Bits of a unit's code for each dimension: the position among the kept values, or one of the two below.
const CODE_BITS: usize = 7;
/// Places of one dimension.
pub(super) const CODES: u32 = 1 << CODE_BITS;
pub(super) const ABSENT: u32 = CODES - 2;
pub(super) const OTHER: u32 = CODES - 1;
/// Dimensions that the widest code has room for.
const DIMENSIONS_MAX: usize = 256 / CODE_BITS;

const _: () = assert!(SLICE_VALUES_MAX <= ABSENT as usize, "each kept value has a position of its own");

const COLUMNS: [&str; 13] = [
    "kind",
    "unit_type",
    "unit_hash",
    "event_id",
    "ts",
    "received_at",
    "variation",
    "run",
    "stage",
    "arm",
    "bucket",
    "texts",
    "node",
];

/// The exposures to the run and to excluded runs. Columns: `unit_hash`, `instant`, `seen_at`, `treated`, `controlled`,
/// `considered` (may be a first exposure), `excluding`, `arm_hash`, `arm_number` (among the asked ones, from 1; else 0),
/// and `more`.
fn exposures(question: &Question<'_>, relation: &Relation<'_>, more: &[String], parameters: &mut Parameters) -> String {
    let query = question.query;
    let run = query.history.number;
    let runs = [run].iter().chain(&query.exclude_runs).map(u64::to_string).collect::<Vec<_>>().join(", ");
    let unit_type = parameters.text(&query.history.unit);
    let condition = format!("kind = 'exposure' AND unit_type = {unit_type} AND run IN ({runs})");
    let rows = relation.select(&COLUMNS, &condition, parameters);
    let in_time =
        question.closing.map_or_else(|| "1".to_owned(), |closing| format!("{RECEIVED} - {TS} <= {}", closing.lateness));
    let excluded = array(&query.exclude_runs, "UInt64");
    let arms = parameters.texts(&query.arms);
    let (treated, controlled) = question.variations().map_or_else(
        || ("0".to_owned(), "0".to_owned()),
        |(treatment, control)| {
            let of = |variation| format!("of_run AND ifNull(variation = {variation}, 0)");
            (of(parameters.text(treatment)), of(parameters.text(control)))
        },
    );
    let more: String = more.iter().map(|column| format!(", {column}")).collect();
    format!(
        "SELECT unit_hash, {TS} AS instant, least({TS}, {RECEIVED}) AS seen_at, ifNull(run, 0) = {run} AS of_run, \
         toUInt8({treated}) AS treated, toUInt8({controlled}) AS controlled, toUInt8({in_time}) AS in_time, \
         toUInt8(of_run AND in_time AND isNotNull(arm) AND isNotNull(stage)) AS considered, \
         toUInt8(in_time AND isNotNull(arm) AND has({excluded}, ifNull(run, 0))) AS excluding, \
         cityHash64(ifNull(arm, '')) AS arm_hash, \
         toUInt16(if(isNull(arm), 0, indexOf({arms}, ifNull(arm, '')))) AS arm_number{more} \
         FROM ({rows})"
    )
}

/// How the first exposure of a unit is told from its others.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum FirstBy {
    /// By its instant: of those at one instant all say the same, in every unit.
    Instant,
    /// By its instant and id, which takes several times longer.
    InstantAndId,
}

/// A text that sorts as instant and id do: eight bytes, the most significant first, the sign turned round.
fn rank() -> String {
    format!("concat(reinterpretAsFixedString(byteSwap(bitXor(toUInt64({TS}), {SIGN}))), event_id) AS rank")
}

const SIGN: u64 = 1 << 63;

/// Stage, arm and bucket as one number; a bucket beyond the last leaves as the last does.
const PACKED: &str = "bitOr(bitShiftLeft(toUInt64(ifNull(stage, 0)), 32), bitOr(bitShiftLeft(toUInt64(arm_number), 18), \
    toUInt64(if(isNull(bucket), 0, least(ifNull(bucket, 0), 200000) + 1)))) AS packed";

/// A number that sorts by the instant and has `packed` in its low half.
fn keyed(packed: &str) -> String {
    format!("bitOr(bitShiftLeft(toUInt128(bitXor(toUInt64(instant), {SIGN})), 64), {packed})")
}

/// The low half of such a number.
fn unkeyed(key: &str) -> String {
    format!("toUInt64(bitAnd({key}, {}))", u64::MAX)
}

const IS_CROSSOVER: &str = "minIf(arm_hash, considered) != maxIf(arm_hash, considered)";

/// Is one row: how many units the run was seen by, who was left out, and when the variations were last served.
pub(super) fn summary(question: &Question<'_>, relation: &Relation<'_>, parameters: &mut Parameters) -> String {
    let keys =
        [PACKED.to_owned(), format!("{} AS low", keyed("packed")), format!("{} AS high", keyed("bitNot(packed)"))];
    let exposures = exposures(question, relation, &keys, parameters);
    let (lowest, highest) = (unkeyed("minIf(low, considered)"), unkeyed("minIf(high, considered)"));
    // A unit that is no crossover has one arm, so that any of its exposures says whether it is an asked one.
    format!(
        "SELECT countIf(is_treated) AS treated, countIf(is_crossover) AS crossover, \
         countIf(NOT is_crossover AND is_asked AND is_excluded) AS excluded, \
         maxOrNullIf(treatment_at, is_treated) AS last_treatment_at, \
         maxOrNullIf(control_at, is_controlled) AS last_control_at, \
         countIf(is_asked AND lowest != bitNot(highest)) AS ambiguous \
         FROM (SELECT max(treated) AS is_treated, max(controlled) AS is_controlled, \
         maxIf(seen_at, treated) AS treatment_at, maxIf(seen_at, controlled) AS control_at, \
         {IS_CROSSOVER} AS is_crossover, max(considered AND arm_number > 0) AS is_asked, max(excluding) AS is_excluded, \
         {lowest} AS lowest, {highest} AS highest \
         FROM ({exposures}) GROUP BY unit_hash)"
    )
}

/// The values of each dimension with the most units: `dimension`, `value`.
pub(super) fn largest(question: &Question<'_>, relation: &Relation<'_>, parameters: &mut Parameters) -> String {
    let dimensions = question.query.slices.iter().map(|dimension| match dimension {
        Dimension::Attribute(name) => {
            let name = parameters.text(name);
            format!("(mapContains(texts, {name}), texts[{name}])")
        }
        Dimension::ExposureDay => format!("(toUInt8(1), {DAY})"),
    });
    let dimensions = array(dimensions, "Tuple(UInt8, String)");
    let exposures = exposures(question, relation, &[rank(), format!("{dimensions} AS dimensions")], parameters);
    format!(
        "SELECT toUInt16(dimension - 1) AS dimension, value FROM (SELECT dimension, found.2 AS value, count() AS units \
         FROM (SELECT argMinIf(dimensions, rank, considered) AS dimensions FROM ({exposures}) \
         WHERE considered OR excluding GROUP BY unit_hash HAVING {IS_ANALYSED}) \
         ARRAY JOIN dimensions AS found, arrayEnumerate(dimensions) AS dimension WHERE found.1 \
         GROUP BY dimension, value) ORDER BY dimension, units DESC, value LIMIT {SLICE_VALUES_MAX} BY dimension"
    )
}

const IS_ANALYSED: &str = "max(considered AND arm_number > 0) AND NOT max(excluding) \
    AND minIf(arm_hash, considered) = maxIf(arm_hash, considered)";
const DAY: &str = "toString(toDate32(ts, 'UTC'))";

/// The analysed units: `unit_hash`, `first_ts`, `leaves_at`, `stage`, `arm` (its number among the asked ones, from 1),
/// `code` (where the unit is in each dimension). With dimensions, the first exposure is known by instant and id only.
pub(super) fn analysed(
    question: &Question<'_>,
    relation: &Relation<'_>,
    largest: &[Vec<String>],
    first_by: FirstBy,
    parameters: &mut Parameters,
) -> Result<String, StoreError> {
    let kind = match largest.len() {
        0..=9 => "toUInt64",
        10..=18 => "toUInt128",
        19..=DIMENSIONS_MAX => "toUInt256",
        many => {
            return Err(StoreError::Invalid(format!(
                "a question can tell units apart by {DIMENSIONS_MAX} dimensions at most, not by {many}"
            )));
        }
    };
    let mut code = format!("{kind}(0)");
    for (position, (dimension, kept)) in question.query.slices.iter().zip(largest).enumerate() {
        let kept = parameters.texts(kept);
        let place = |text: &str| format!("if(has({kept}, {text}), indexOf({kept}, {text}) - 1, {OTHER})");
        let place = match dimension {
            Dimension::Attribute(name) => {
                let name = parameters.text(name);
                format!("if(mapContains(texts, {name}), {}, {ABSENT})", place(&format!("texts[{name}]")))
            }
            Dimension::ExposureDay => place(DAY),
        };
        code = format!("bitOr({code}, bitShiftLeft({kind}({place}), {}))", position * CODE_BITS);
    }
    let (more, first_ts, first, first_code) = match first_by {
        FirstBy::Instant => {
            let instant = "reinterpretAsInt64(bitXor(toUInt64(bitShiftRight(minIf(key, considered), 64)), SIGN))";
            let instant = instant.replace("SIGN", &SIGN.to_string());
            let more = vec![PACKED.to_owned(), format!("{} AS key", keyed("packed"))];
            (more, instant, unkeyed("minIf(key, considered)"), code)
        }
        FirstBy::InstantAndId => {
            let first = |column: &str| format!("argMinIf({column}, rank, considered)");
            let more = vec![PACKED.to_owned(), rank(), format!("{code} AS row_code")];
            let first_code = if largest.is_empty() { code } else { first("row_code") };
            (more, "minIf(instant, considered)".to_owned(), first("packed"), first_code)
        }
    };
    let exposures = exposures(question, relation, &more, parameters);
    let treatment = question.query.arms.iter().position(|arm| arm == TREATMENT).map_or(0, |position| position + 1);
    let leaves_at = leaves_at(question, treatment);
    Ok(format!(
        "SELECT unit_hash, first_ts, leaves_at, stage, arm, code FROM (SELECT unit_hash, first_ts, code, \
         toUInt32(bitShiftRight(first, 32)) AS stage, toUInt32(bitAnd(bitShiftRight(first, 18), 16383)) AS arm, \
         toInt64(bitAnd(first, 262143)) - 1 AS bucket, {leaves_at} FROM (SELECT unit_hash, \
         {first_ts} AS first_ts, {first} AS first, {first_code} AS code FROM ({exposures}) WHERE considered OR excluding \
         GROUP BY unit_hash HAVING {IS_ANALYSED}))"
    ))
}

/// The places of a unit: 0 for the whole population, and one of each dimension, its number (from 1) times [`CODES`] plus
/// the unit's place in it.
pub(super) fn places(dimensions: usize) -> String {
    let of_dimension = |position: usize| {
        let place = format!("bitAnd(bitShiftRight(code, {}), {})", position * CODE_BITS, CODES - 1);
        format!("toUInt32({place}) + {}", (position + 1) * CODES as usize)
    };
    array(["0".to_owned()].into_iter().chain((0..dimensions).map(of_dimension)), "UInt32")
}
