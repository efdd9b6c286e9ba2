"""The server beside a bare axum handler that parses the same body and answers the same bytes, and beside unleash-edge, in one
run: requests a second, p50 and p99. The server has one core, the load another. Answers are checked before they are timed.

`make bench-http`, or: python bench/http/compare.py --liftgate PATH --bare PATH [--edge PATH]
"""

import argparse
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import threading
import time
import urllib.request

TOKEN = "bench-token-of-this-run-only"
SERVER_CORE, LOAD_CORE = "0", "1"
ROUNDS = 3
SECONDS = 5
CONNECTIONS = 32
P99 = 5.0  # ms, to stay below with the server's core full
CHECKED = 200  # bulk answers that are searched for a mixture of two revisions
EDITED = ["flag-00003", "flag-00006"]
EDGE_TOKEN = "*:live.bench-token-of-this-run-only"

# job: flags, path, key header, body of a user, requests a second and share of the bare handler to reach
JOBS = {
    "Flagsmith identities, 50 features": (50, "/api/v1/identities/", "X-Environment-Key", 50_000, 0.45),
    "OFREP bulk, 5 flags": (5, "/ofrep/v1/evaluate/flags", "X-API-Key", 70_000, 0.60),
    "OFREP bulk, 350 flags": (350, "/ofrep/v1/evaluate/flags", "X-API-Key", 25_000, 0.27),
}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def call(url, body=None, headers=None, method=None):
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", **(headers or {})}
    request = urllib.request.Request(url, data=data, headers=headers, method=method or ("POST" if data else "GET"))
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read()


class Process:
    def __init__(self, command, ready, env=None):
        self.child = subprocess.Popen(
            ["taskset", "-c", SERVER_CORE, *command], env={**os.environ, **(env or {})},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        for _ in range(600):
            try:
                ready()
                return
            except OSError:
                time.sleep(0.05)
        raise SystemExit(f"{command[0]} did not start")

    def stop(self):
        self.child.send_signal(signal.SIGTERM)
        try:
            self.child.wait(20)
        except subprocess.TimeoutExpired:
            self.child.kill()


def flag(project, number, flagsmith):
    """A third without rules, a third with two conditions and a split, a third with a ramp; for Flagsmith every other one hashes
    as Flagsmith does."""
    key = f"flag-{number:05}"
    state = {"enabled": True, "fallthrough": {"variation": "on"}}
    if number % 3 == 1:
        conditions = [
            {"attribute": "country", "op": "in", "value": ["FR", "DE", "AT"]},
            {"attribute": "seats", "op": "gte", "value": 10},
        ]
        split = {"split": {"weights": {"on": 50, "off": 50}}}
        state = {"enabled": True, "rules": [{"id": "dach", "when": {"all": conditions}, "serve": split}]}
    if number % 3 == 2:
        ramp = {"ramp": {"treatment": "on", "control": "off", "share": "25%"}}
        state = {"enabled": True, "rules": [{"id": "ramp", "serve": ramp}]}
    dialect = {"dialect": "flagsmith"} if flagsmith and number % 2 else {}
    return [
        {"kind": "flag", "project": project, "key": key, "spec": {"kind": "boolean", **dialect}},
        {"kind": "flag_state", "project": project, "environment": "live", "key": key, "spec": state},
    ]


def declare(base, project, flags, flagsmith=False):
    declared = [{"kind": "project", "key": project}, {"kind": "environment", "project": project, "key": "live"}]
    for number in range(flags):
        declared += flag(project, number, flagsmith)
    key = None
    for start in range(0, len(declared), 400):
        part = declared[start : start + 400]
        answer = json.loads(call(f"{base}/manage/v1/apply", part, {"Authorization": f"Bearer {TOKEN}"}))
        key = key or next((it["client_key"] for it in answer["results"] if "client_key" in it), None)
    return key


def body(path, user):
    if path.startswith("/api/"):
        traits = {"country": "DE", "seats": 25, "plan": "pro"}
        return {"identifier": f"user-{user}", "traits": [{"trait_key": k, "trait_value": v} for k, v in traits.items()]}
    return {"context": {"targetingKey": f"user-{user}", "country": "DE", "seats": 25, "plan": "pro"}}


def script(folder, name, path, header, key, body=body):
    """Sixty-four users in turn."""
    lines = ["wrk.method = 'POST'", f"wrk.headers['{header}'] = '{key}'", "wrk.headers['Content-Type'] = 'application/json'"]
    lines.append("local bodies = {}")
    for user in range(64):
        lines.append(f"bodies[{user + 1}] = [==[{json.dumps(body(path, user))}]==]")
    lines.append("local turn = 0")
    lines.append("request = function() turn = turn % 64 + 1; return wrk.format(nil, nil, nil, bodies[turn]) end")
    file = os.path.join(folder, f"{name}.lua")
    with open(file, "w") as out:
        out.write("\n".join(lines))
    return file


def toggle(number):
    """The same flag in Unleash's words: its attributes are text, and its number comparison takes one value."""
    rollout = {"rollout": "100", "stickiness": "userId", "groupId": f"flag-{number:05}"}
    constraints = []
    if number % 3 == 1:
        rollout["rollout"] = "50"
        constraints = [
            {"contextName": "country", "operator": "IN", "values": ["FR", "DE", "AT"]},
            {"contextName": "seats", "operator": "NUM_GTE", "value": "10"},
        ]
    if number % 3 == 2:
        rollout["rollout"] = "25"
    strategy = {"name": "flexibleRollout", "constraints": constraints, "parameters": rollout}
    return {"name": f"flag-{number:05}", "type": "release", "enabled": True, "project": "default", "strategies": [strategy]}


def edge_body(_path, user):
    return {"userId": f"user-{user}", "properties": {"country": "DE", "seats": "25", "plan": "pro"}}


def start_edge(edge, folder, flags):
    """unleash-edge without an Unleash behind it, all its toggles in a file; the process, the URL of all toggles and a script."""
    features = os.path.join(folder, f"edge-{flags}.json")
    with open(features, "w") as out:
        json.dump({"version": 2, "features": [toggle(number) for number in range(flags)], "segments": []}, out)
    port = free_port()
    url = f"http://127.0.0.1:{port}/api/frontend/all"
    tokens = ["--client-tokens", EDGE_TOKEN, "--frontend-tokens", EDGE_TOKEN]
    command = [edge, "--interface", "127.0.0.1", "--port", str(port), "offline", "--bootstrap-file", features, *tokens]
    process = Process(command, lambda: call(f"http://127.0.0.1:{port}/internal-backstage/health"), {"RUST_LOG": "error"})
    try:
        toggles = json.loads(call(url, edge_body(url, 1), {"Authorization": EDGE_TOKEN}))["toggles"]
        if len(toggles) != flags:
            raise SystemExit(f"unleash-edge answered {len(toggles)} toggles of {flags}")
    except BaseException:
        process.stop()
        raise
    return process, url, script(folder, f"edge-{flags}", url, "Authorization", EDGE_TOKEN, edge_body)


def cpu_seconds(pid):
    """What a process has used of its core so far."""
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def load(url, lua, seconds=SECONDS, pid=None):
    """Requests a second, p50 and p99 in ms, and the server's CPU time for a request in microseconds, which does not depend on
    whether the load or the server was slower."""
    used = cpu_seconds(pid) if pid else 0.0
    command = ["taskset", "-c", LOAD_CORE, "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "-s", lua, url]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in text or "Socket errors" in text:
        raise SystemExit(f"requests failed:\n{text}")
    units = {"us": 0.001, "ms": 1.0, "s": 1000.0}
    latency = lambda name: next(float(n) * units[u] for n, u in re.findall(rf"{name}%\s+([\d.]+)(us|ms|s)", text))
    requests = int(re.search(r"(\d+) requests in", text)[1])
    used = (cpu_seconds(pid) if pid else 0.0) - used
    return float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]), latency(50), latency(99), used / requests * 1e6


def middle(rounds):
    return [statistics.median(column) for column in zip(*rounds)]


def verify(name, flags, answer):
    """Every flag is there, none broken, and the one without rules is on."""
    parsed = json.loads(answer)
    found = parsed["flags"]
    if "traits" in parsed:
        values = {each["feature"]["name"]: each["enabled"] for each in found}
    else:
        values = {each["key"]: each.get("value") for each in found}
    if len(values) != flags or None in values.values() or values["flag-00000"] is not True:
        raise SystemExit(f"{name}: the answer is not what was declared: {answer[:300]}")


def measure(base, pid, programs, folder, name, job):
    flags, path, header, wanted, wanted_share = job
    flagsmith = path.startswith("/api/")
    key = declare(base, f"p{flags}", flags, flagsmith)
    answer = call(base + path, body(path, 1), {header: key})
    verify(name, flags, answer)
    sample = os.path.join(folder, f"{flags}.json")
    with open(sample, "wb") as out:
        out.write(answer)
    lua = script(folder, f"job-{flags}", path, header, key)
    bare = f"http://127.0.0.1:{free_port()}/"
    processes = [Process([programs.bare, bare.split(":")[2].strip("/"), sample], lambda: call(bare, {}))]
    rivals = [(base + path, lua, pid), (bare, lua, processes[0].child.pid)]
    try:
        if programs.edge and not flagsmith:
            process, *rival = start_edge(programs.edge, folder, flags)
            processes.append(process)
            rivals.append((*rival, process.child.pid))
        for url, script_of, _ in rivals:
            load(url, script_of, 1)
        rounds = [[load(url, script_of, pid=server) for url, script_of, server in rivals] for _ in range(ROUNDS)]
    finally:
        for process in processes:
            process.stop()
    (rate, p50, p99, cpu), (yardstick, _, bare_p99, bare_cpu), *edge = [middle(rival) for rival in zip(*rounds)]
    share = statistics.median(ours[0] / theirs[0] for ours, theirs, *_ in rounds)
    cpu_share = statistics.median(theirs[3] / ours[3] for ours, theirs, *_ in rounds)
    edge_cells = "- | - | - | -"
    if edge:
        ahead = statistics.median(ours[0] / theirs[0] for ours, _, theirs in rounds)
        edge_cells = f"{edge[0][0]:,.0f} | {edge[0][2]:.2f} | {edge[0][3]:.1f} | {ahead:.2f}x"
    print(
        f"| {name} | {len(answer)} | {rate:,.0f} ({wanted:,}) | {p50:.2f} | {p99:.2f} ({P99:.0f}) | {cpu:.1f} | {yardstick:,.0f} | {bare_p99:.2f} "
        f"| {bare_cpu:.1f} | {share:.0%}, {cpu_share:.0%} ({wanted_share:.0%}) | {edge_cells} |", flush=True,
    )


def edits(base, folder):
    """One flag of 10 000 edited again and again while one of them is asked for."""
    key = declare(base, "many", 10_000)
    lua = script(folder, "many", "/ofrep/v1/evaluate/flags/flag-00001", "X-API-Key", key)
    url = f"{base}/ofrep/v1/evaluate/flags/flag-00001"
    load(url, lua, 2)
    quiet = middle([load(url, lua) for _ in range(ROUNDS)])
    stop, count, failed = threading.Event(), [0], []

    def edit():
        """Two flags in one change, so that an answer in which they differ is of two revisions."""
        while not stop.is_set():
            spec = {"enabled": True, "fallthrough": {"variation": "on" if count[0] % 2 else "off"}}
            pair = [
                {"kind": "flag_state", "project": "many", "environment": "live", "key": edited, "spec": spec} for edited in EDITED
            ]
            try:
                call(f"{base}/manage/v1/apply", pair, {"Authorization": f"Bearer {TOKEN}"})
            except OSError as error:
                failed.append(error)
                return
            count[0] += 1
            stop.wait(0.2)

    editor = threading.Thread(target=edit)
    editor.start()
    try:
        busy = middle([load(url, lua) for _ in range(ROUNDS)])
        timed = count[0]
        revisions, mixed = read_whole(base, key)
    finally:
        stop.set()
        editor.join()
    if failed:
        raise SystemExit(f"an edit failed: {failed[0]}")
    if revisions < 2:
        raise SystemExit("no two revisions were seen, so nothing is known about mixed answers")
    print(f"\n10 000 flags, one asked for: {quiet[0]:,.0f} requests/s, p99 {quiet[2]:.2f} ms; while two are edited ({timed} changes): "
          f"{busy[0]:,.0f} requests/s, p99 {busy[2]:.2f} ms ({P99:.0f}).\n{CHECKED} answers with all 10 000 while they are edited, "
          f"of {revisions} revisions: {mixed} mixed (0)")


def read_whole(base, key):
    """Reads whole answers while flags are edited: how many revisions were seen, and how many answers mix two."""
    seen, mixed = {}, 0
    for _ in range(CHECKED):
        answer = json.loads(call(f"{base}/ofrep/v1/evaluate/flags", body("/ofrep/", 1), {"X-API-Key": key}))
        values = {flag["key"]: flag["value"] for flag in answer["flags"] if flag["key"] in EDITED}
        version = answer["metadata"]["version"]
        first = seen.setdefault(version, values)
        mixed += len(set(values.values())) != 1 or first != values
    return len(seen), mixed


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--liftgate", required=True)
    arguments.add_argument("--bare", required=True)
    arguments.add_argument("--edge", default="", help="the program unleash-edge; without it, its columns stay empty")
    arguments = arguments.parse_args()
    for program in ["wrk", "taskset"]:
        if not shutil.which(program):
            raise SystemExit(f"`{program}` is missing: apt-get install {'wrk' if program == 'wrk' else 'util-linux'}")
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        base = f"http://127.0.0.1:{port}"
        env = {"LIFTGATE_LISTEN": f"127.0.0.1:{port}", "LIFTGATE_ADMIN_TOKEN": TOKEN, "LIFTGATE_DATA_DIR": os.path.join(folder, "data")}
        server = Process([arguments.liftgate, "serve"], lambda: call(f"{base}/readyz"), env)
        try:
            print(f"medians of {ROUNDS} rounds of {SECONDS} s, {CONNECTIONS} connections, server on one core; targets in brackets\n")
            print("| job | bytes | requests/s | p50 ms | p99 ms | CPU us | bare requests/s | bare p99 ms | bare CPU us | share of bare, by CPU "
                  "| unleash-edge requests/s | its p99 ms | its CPU us | ahead of it |")
            print("|" + "---|" * 14)
            for name, job in JOBS.items():
                measure(base, server.child.pid, arguments, folder, name, job)
            if not arguments.edge:
                print("\nunleash-edge was not measured: no program was named with --edge")
            edits(base, folder)
        finally:
            server.stop()


if __name__ == "__main__":
    main()
