"""The readout as SQL: first exposures, each unit's value in its window, moments by arm."""

METRICS = {
    "revenue": ("purchase", "sum({value})"),
    "buyers": ("purchase", "max({one})"),
    "views": ("view", "sum({one})"),
    "clicks": ("click", "max({one})"),
    "searches": ("search", "sum({one})"),
}
WINDOW_DAYS = 7


def readout(exposures, events, metrics, dialect, unit="unit_id"):
    """One SELECT over the tables or functions `exposures` and `events`, for `duckdb`, `datafusion` or `clickhouse`. `unit` is
    the column that units are told apart by: the text of our files, or the hash of it that a peer's own table has."""
    names = sorted({METRICS[metric][0] for metric in metrics})
    first_arm = {"duckdb": "arg_min(arm, ts)", "clickhouse": "argMin(arm, ts)", "datafusion": "first_value(arm ORDER BY ts)"}[dialect]
    end = {
        "clickhouse": f"f.t + toIntervalDay({WINDOW_DAYS})",
    }.get(dialect, f"f.t + INTERVAL '{WINDOW_DAYS} days'")
    counts = f"e.ts >= f.t AND e.ts < {end}"
    columns = []
    for metric in metrics:
        name, form = METRICS[metric]
        hit = f"(e.name = '{name}' AND {counts})"
        value = form.format(value=f"CASE WHEN {hit} THEN e.value ELSE 0 END", one=f"CASE WHEN {hit} THEN 1 ELSE 0 END")
        columns.append(f"{value} AS {metric}")
    variance = {"clickhouse": "varSamp", "duckdb": "var_samp", "datafusion": "var_samp"}[dialect]
    cells = ", ".join(f"avg({metric}) AS {metric}_mean, {variance}({metric}) AS {metric}_variance" for metric in metrics)
    listed = ", ".join(f"'{name}'" for name in names)
    return f"""
WITH f AS (
  SELECT {unit}, min(ts) AS t, {first_arm} AS first_arm FROM {exposures}
  WHERE run = 7 AND unit_type = 'user' GROUP BY {unit} HAVING min(arm) = max(arm)
),
per_unit AS (
  SELECT f.{unit} AS unit, min(f.first_arm) AS arm, {", ".join(columns)}
  FROM f LEFT JOIN (SELECT {unit}, ts, name, value FROM {events} WHERE name IN ({listed}) AND unit_type = 'user') AS e
  ON e.{unit} = f.{unit}
  GROUP BY f.{unit}
)
SELECT arm, count(*) AS n, {cells} FROM per_unit GROUP BY arm ORDER BY arm"""
