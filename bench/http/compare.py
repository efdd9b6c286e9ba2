"""The server beside a bare axum handler that parses the same body and answers the same bytes, in one run: requests a second,
p50 and p99. The server has one core, the load another.

`make bench-http`, or: python bench/http/compare.py --liftgate PATH --bare PATH
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


def flag(project, number):
    """A third without rules, a third with two conditions and a split, a third with a ramp."""
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
    return [
        {"kind": "flag", "project": project, "key": key, "spec": {"kind": "boolean"}},
        {"kind": "flag_state", "project": project, "environment": "live", "key": key, "spec": state},
    ]


def declare(base, project, flags):
    declared = [{"kind": "project", "key": project}, {"kind": "environment", "project": project, "key": "live"}]
    for number in range(flags):
        declared += flag(project, number)
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


def script(folder, name, path, header, key):
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


def load(url, lua, seconds=SECONDS):
    command = ["taskset", "-c", LOAD_CORE, "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "-s", lua, url]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in text or "Socket errors" in text:
        raise SystemExit(f"requests failed:\n{text}")
    units = {"us": 0.001, "ms": 1.0, "s": 1000.0}
    latency = lambda name: next(float(n) * units[u] for n, u in re.findall(rf"{name}%\s+([\d.]+)(us|ms|s)", text))
    return float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]), latency(50), latency(99)


def middle(rounds):
    return [statistics.median(column) for column in zip(*rounds)]


def measure(base, bare, folder, name, job):
    flags, path, header, wanted, wanted_share = job
    key = declare(base, f"p{flags}", flags)
    answer = call(base + path, body(path, 1), {header: key})
    sample = os.path.join(folder, f"{flags}.json")
    with open(sample, "wb") as out:
        out.write(answer)
    lua = script(folder, f"job-{flags}", path, header, key)
    port = free_port()
    process = Process([bare, str(port), sample], lambda: call(f"http://127.0.0.1:{port}/", {}))
    try:
        load(base + path, lua, 2), load(f"http://127.0.0.1:{port}/", lua, 1)
        ours, theirs = [], []
        for _ in range(ROUNDS):
            ours.append(load(base + path, lua))
            theirs.append(load(f"http://127.0.0.1:{port}/", lua))
    finally:
        process.stop()
    (rate, p50, p99), (yardstick, _, bare_p99) = middle(ours), middle(theirs)
    share = statistics.median(a[0] / b[0] for a, b in zip(ours, theirs))
    print(
        f"| {name} | {len(answer)} | {rate:,.0f} ({wanted:,}) | {p50:.2f} | {p99:.2f} | {yardstick:,.0f} | {bare_p99:.2f} "
        f"| {share:.0%} ({wanted_share:.0%}) |", flush=True,
    )


def edits(base, folder):
    """One flag of 10 000 edited again and again while one of them is asked for."""
    key = declare(base, "many", 10_000)
    lua = script(folder, "many", "/ofrep/v1/evaluate/flags/flag-00001", "X-API-Key", key)
    url = f"{base}/ofrep/v1/evaluate/flags/flag-00001"
    load(url, lua, 2)
    quiet = middle([load(url, lua) for _ in range(ROUNDS)])
    stop, count = threading.Event(), [0]

    def edit():
        while not stop.is_set():
            spec = {"enabled": True, "fallthrough": {"variation": "on" if count[0] % 2 else "off"}}
            one = {"kind": "flag_state", "project": "many", "environment": "live", "key": "flag-00003", "spec": spec}
            call(f"{base}/manage/v1/apply", [one], {"Authorization": f"Bearer {TOKEN}"})
            count[0] += 1
            stop.wait(0.2)

    editor = threading.Thread(target=edit)
    editor.start()
    busy = middle([load(url, lua) for _ in range(ROUNDS)])
    stop.set()
    editor.join()
    print(f"\n10 000 flags, one asked for: {quiet[0]:,.0f} requests/s, p99 {quiet[2]:.2f} ms; while one is edited ({count[0]} edits): "
          f"{busy[0]:,.0f} requests/s, p99 {busy[2]:.2f} ms")


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--liftgate", required=True)
    arguments.add_argument("--bare", required=True)
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
            print("| job | bytes | requests/s | p50 ms | p99 ms | bare requests/s | bare p99 ms | share of bare |")
            print("|---|---|---|---|---|---|---|---|")
            for name, job in JOBS.items():
                measure(base, arguments.bare, folder, name, job)
            edits(base, folder)
        finally:
            server.stop()


if __name__ == "__main__":
    main()
