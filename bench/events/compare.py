"""Liftgate's event plane beside ClickHouse, DuckDB and DataFusion, on the same rows in the same run.

usage: compare.py --liftgate BIN --events BIN [--units N] [--ingest-rows N] [--runs N] [--only ingest|readout] [--json FILE]
"""

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

import queries

HERE = os.path.dirname(os.path.abspath(__file__))
TOKEN = "bench-admin-token-0123456789"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def http(url, body=None, headers=None, timeout=3600):
    request = urllib.request.Request(url, data=body, headers=headers or {})
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        return answer.read()


def until(ready, what, seconds=60):
    for _ in range(seconds * 20):
        try:
            return ready()
        except OSError:
            time.sleep(0.05)
    sys.exit(f"{what} did not start within {seconds} s")


def on_core(core, command):
    """One core each for server and load, where the machine lets us choose."""
    return ["taskset", "-c", str(core), *command] if shutil.which("taskset") and (os.cpu_count() or 1) > 1 else command


def cpu_seconds(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_bytes(pid):
    for line in open(f"/proc/{pid}/status"):
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


class ClickHouse:
    def __init__(self, folder, core=None):
        self.port = free_port()
        command = [sys.executable, os.path.join(HERE, "clickhouse_server.py"), folder, str(self.port)]
        self.process = subprocess.Popen(command if core is None else on_core(core, command), stdin=subprocess.PIPE)
        until(lambda: self.query("SELECT 1"), "ClickHouse")

    def url(self, sql, **settings):
        return f"http://127.0.0.1:{self.port}/?" + urllib.parse.urlencode({"query": sql, **settings})

    def query(self, sql):
        return http(f"http://127.0.0.1:{self.port}/", sql.encode()).decode()

    def stop(self):
        self.process.stdin.close()
        self.process.wait()


def events(args, core, *rest):
    command = [args.events, *map(str, rest)]
    done = subprocess.run(command if core is None else on_core(core, command), stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def ingest(args, work):
    """Batches over HTTP: the server on one core, the load on the other."""
    now = int(time.time() * 1000)
    rows = args.ingest_rows
    results = {}
    data = os.path.join(work, "liftgate")
    port = free_port()
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LIFTGATE_")}
    settings = {"LIFTGATE_LISTEN": f"127.0.0.1:{port}", "LIFTGATE_DATA_DIR": data, "LIFTGATE_ADMIN_TOKEN": TOKEN}
    log = open(os.path.join(work, "liftgate.log"), "w")
    server = subprocess.Popen(on_core(0, [args.liftgate, "serve"]), env=clean | settings, stderr=log, stdout=log)
    base = f"http://127.0.0.1:{port}"
    until(lambda: http(base + "/readyz"), "liftgate")
    declared = "kind: project\nkey: bench\n---\nkind: environment\nproject: bench\nkey: production\n"
    headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/yaml"}
    applied = json.loads(http(base + "/manage/v1/apply", declared.encode(), headers))
    key = next(result["client_key"] for result in applied["results"] if result.get("client_key"))
    for round_number in range(args.runs):
        before = cpu_seconds(server.pid)
        run = events(args, 1, "load", base + "/ingest/v1/events", "--key", key, "--rows", rows, "--seed", round_number + 1,
                     "--senders", 8, "--now-ms", now)
        run["rows_per_cpu_second"] = run["rows"] / (cpu_seconds(server.pid) - before)
        results.setdefault("liftgate, batches of 500", []).append(run)
    results["liftgate, batches of 500"][-1]["peak_bytes"] = peak_bytes(server.pid)
    server.terminate()
    server.wait()
    clickhouse = ClickHouse(os.path.join(work, "clickhouse-ingest"), core=0)
    # The wrapper may be `taskset`, which becomes the server itself.
    pid = clickhouse.process.pid
    clickhouse.query(
        "CREATE TABLE events (event_id String, ts DateTime64(6), unit_type LowCardinality(String), unit_id String,"
        " name LowCardinality(String), value Float64, properties String) ENGINE = MergeTree ORDER BY (name, cityHash64(unit_id), ts)"
        " SETTINGS fsync_after_insert = 1, fsync_part_directory = 1"
    )
    url = clickhouse.url("INSERT INTO events FORMAT JSONEachRow", date_time_input_format="best_effort",
                         input_format_json_read_objects_as_strings=1)
    for batch in (500, 100_000):
        name = f"ClickHouse JSONEachRow, batches of {batch}"
        for round_number in range(args.runs):
            before = cpu_seconds(pid)
            share = rows if batch > 500 else max(rows // 20, 50_000)
            run = events(args, 1, "load", url, "--form", "clickhouse", "--rows", share, "--seed", 100 + round_number,
                         "--senders", 8 if batch == 500 else 2, "--batch", batch, "--now-ms", now)
            run["rows_per_cpu_second"] = run["rows"] / (cpu_seconds(pid) - before)
            results.setdefault(name, []).append(run)
            clickhouse.query("TRUNCATE TABLE events")
        results[name][-1]["peak_bytes"] = peak_bytes(pid)
    clickhouse.stop()
    print("\nIngest over HTTP, fsync on, server on one core")
    print(f"{'':44}{'events/s':>12}{'/cpu s':>12}{'p99 ms':>9}{'peak MB':>9}{'ratio':>8}")
    median = lambda name, field: statistics.median(run[field] for run in results[name])
    ours = median("liftgate, batches of 500", "rows_per_second")
    for name in results:
        rate = median(name, "rows_per_second")
        peak = results[name][-1]["peak_bytes"] / 1e6
        print(f"{name:44}{rate:12.0f}{median(name, 'rows_per_cpu_second'):12.0f}{median(name, 'p99_ms'):9.1f}{peak:9.0f}{ours / rate:8.2f}")
    return results


def timed(runs, run):
    """Milliseconds of each run but the first, and the last answer."""
    times = []
    for _ in range(runs + 1):
        began = time.perf_counter()
        answer = run()
        times.append((time.perf_counter() - began) * 1e3)
    return times[1:], answer


def readout(args, work):
    folder = os.path.join(work, "dataset")
    shape = events(args, None, "dataset", folder, "--units", args.units, "--ids", args.ids)
    print(f"\ndataset: {shape['rows']} rows, {shape['bytes_per_event']:.1f} bytes an event, {shape['files']} files, "
          f"written at {shape['rows_per_second']:.0f} rows/s, merged {shape['merged_seconds']:.0f} s longer; peak memory of the "
          f"writer {shape['peak_memory_bytes'] / 1e6:.0f} MB")
    ours = events(args, None, "readout", folder, "--runs", args.runs)
    shapes = {"one_metric": ["revenue"], "five_metrics": list(queries.METRICS)}
    times = {"liftgate": {name: ours["timings"][name]["all_ms"] for name in shapes}}
    answers = {"liftgate": {name: cells_of_ours(ours["cells"][name]) for name in shapes}}
    exposures = f"{folder}/env=*/kind=exposure/*/*.parquet"
    metrics = f"{folder}/env=*/kind=metric/*/*.parquet"

    import duckdb

    duck = duckdb.connect(os.path.join(work, "duck.db"))
    peers = {"DuckDB on our files": (f"read_parquet('{exposures}')", f"read_parquet('{metrics}')")}
    for table, files in (("exposures", exposures), ("events", metrics)):
        duck.execute(f"CREATE TABLE {table} AS SELECT hash(unit_id) AS unit_hash, ts, name, unit_type, run, arm, value"
                     f" FROM read_parquet('{files}') ORDER BY unit_hash, ts")
    peers["DuckDB, its own tables"] = ("exposures", "events")
    for peer, (exposure_source, event_source) in peers.items():
        for name, asked in shapes.items():
            unit = "unit_hash" if exposure_source == "exposures" else "unit_id"
            sql = queries.readout(exposure_source, event_source, asked, "duckdb", unit)
            spent, rows = timed(args.runs, lambda: duck.execute(sql).fetchall())
            times.setdefault(peer, {})[name] = spent
            answers.setdefault(peer, {})[name] = cells_of_rows(asked, rows)
    duck.close()

    import datafusion

    context = datafusion.SessionContext()
    for table, kind in (("exposures", "exposure"), ("events", "metric")):
        context.register_parquet(table, f"{folder}/env=1/kind={kind}/")
    for name, asked in shapes.items():
        sql = queries.readout("exposures", "events", asked, "datafusion")
        spent, rows = timed(args.runs, lambda: [tuple(row.values()) for batch in context.sql(sql).collect() for row in batch.to_pylist()])
        times.setdefault("DataFusion on our files", {})[name] = spent
        answers.setdefault("DataFusion on our files", {})[name] = cells_of_rows(asked, rows)

    clickhouse = ClickHouse(os.path.join(work, "clickhouse-readout"))
    columns = ("event_id String CODEC(ZSTD(3)), ts DateTime64(3) CODEC(Delta, ZSTD(1)), received_after_us Int64 CODEC(Delta, ZSTD(1)),"
               " unit_type LowCardinality(String), unit_id String CODEC(ZSTD(3)), unit_hash UInt64, name LowCardinality(String),"
               " run UInt64, stage UInt32, arm LowCardinality(String), value Float64")
    picked = "event_id, ts, received_after_us, unit_type, unit_id, cityHash64(unit_id), name, ifNull(run, 0), ifNull(stage, 0), ifNull(arm, ''), ifNull(value, 0)"
    for table, files in (("exposures", exposures), ("events", metrics)):
        clickhouse.query(f"CREATE TABLE {table} ({columns}) ENGINE = MergeTree ORDER BY (name, unit_hash, ts)")
        clickhouse.query(f"INSERT INTO {table} SELECT {picked} FROM file('{files}', Parquet)")
        clickhouse.query(f"OPTIMIZE TABLE {table} FINAL")
    size = clickhouse.query("SELECT sum(bytes_on_disk) / sum(rows) FROM system.parts WHERE active AND table IN ('exposures', 'events')")
    clickhouse.query("CREATE TABLE firsts ENGINE = MergeTree ORDER BY unit_hash AS SELECT unit_hash, min(ts) AS ts, argMin(e.arm, e.ts) AS arm,"
                     " any(e.run) AS run, any(e.unit_type) AS unit_type FROM exposures e GROUP BY unit_hash HAVING min(e.arm) = max(e.arm)")
    for peer, source in (("ClickHouse, raw", "exposures"), ("ClickHouse, stored first exposures", "firsts")):
        for name, asked in shapes.items():
            sql = queries.readout(source, "events", asked, "clickhouse", "unit_hash") + " FORMAT JSONCompact"
            spent, answer = timed(args.runs, lambda: json.loads(clickhouse.query(sql))["data"])
            times.setdefault(peer, {})[name] = spent
            answers.setdefault(peer, {})[name] = cells_of_rows(asked, [[row[0], *map(float, row[1:])] for row in answer])
    clickhouse.stop()

    wrong = differences(answers)
    print(f"\nReadout of {shape['rows']} rows: median ms, and how often Liftgate's time")
    print(f"{'':38}{'one metric':>12}{'ratio':>8}{'five':>12}{'ratio':>8}")
    base = {name: statistics.median(times["liftgate"][name]) for name in shapes}
    for peer in times:
        middle = {name: statistics.median(times[peer][name]) for name in shapes}
        print(f"{peer:38}" + "".join(f"{middle[name]:12.0f}{middle[name] / base[name]:8.2f}" for name in shapes))
    for rule in ("one_metric_decision", "five_metrics_decision"):
        print(f"liftgate, {rule.replace('_', ' '):28}{ours['timings'][rule]['median_ms']:12.0f}")
    print(f"first question after opening: {ours['timings']['one_metric']['first_ms']:.0f} ms; peak memory of the reader "
          f"{ours['peak_memory_bytes'] / 1e6:.0f} MB; bytes an event: {shape['bytes_per_event']:.1f}, ClickHouse {float(size):.1f}")
    print("all engines give the same numbers" if not wrong else "DIFFERENT NUMBERS:\n" + "\n".join(wrong))
    return {"shape": shape, "times": times, "ours": ours, "clickhouse_bytes_per_event": float(size), "wrong": wrong}


def cells_of_ours(cells):
    return {(cell["metric"], cell["arm"]): (cell["n"], cell["mean"], cell["variance"]) for cell in cells}


def cells_of_rows(metrics, rows):
    cells = {}
    for row in rows:
        for position, metric in enumerate(metrics):
            cells[metric, row[0]] = (int(row[1]), float(row[2 + 2 * position]), float(row[3 + 2 * position]))
    return cells


def differences(answers):
    found = []
    for peer, of_peer in answers.items():
        for name, cells in of_peer.items():
            expected = answers["liftgate"][name]
            for key in sorted(set(cells) | set(expected)):
                ours, theirs = expected.get(key), cells.get(key)
                close = ours and theirs and ours[0] == theirs[0] and all(
                    abs(a - b) <= 1e-8 * max(abs(a), 1e-12) for a, b in zip(ours[1:], theirs[1:]))
                if not close:
                    found.append(f"{peer}, {name}, {key}: {theirs} and not {ours}")
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--liftgate", required=True)
    parser.add_argument("--events", required=True)
    parser.add_argument("--units", type=int, default=1_000_000, help="units of the dataset; 50 rows each")
    parser.add_argument("--ids", choices=["sequential", "uuid"], default="sequential")
    parser.add_argument("--ingest-rows", type=int, default=2_000_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", choices=["ingest", "readout"])
    parser.add_argument("--json", help="also write every figure here")
    parser.add_argument("--keep", help="work in this folder and leave it")
    args = parser.parse_args()
    work = args.keep or tempfile.mkdtemp(prefix="liftgate-bench-")
    os.makedirs(work, exist_ok=True)
    report = {}
    try:
        if args.only != "readout":
            report["ingest"] = ingest(args, work)
        if args.only != "ingest":
            report["readout"] = readout(args, work)
    finally:
        if not args.keep:
            shutil.rmtree(work, ignore_errors=True)
    if args.json:
        with open(args.json, "w") as out:
            json.dump(report, out, indent=1)
    if report.get("readout", {}).get("wrong"):
        sys.exit(1)


if __name__ == "__main__":
    main()
