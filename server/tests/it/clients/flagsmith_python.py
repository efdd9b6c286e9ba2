"""Flagsmith's Python client: python flagsmith_python.py TASK

TASK is a JSON object (see sdks.rs); its `mode` names what to do. One JSON line a result, `{"done": true}` at the end.
"""

import json
import logging
import sys
import threading
import time

import flagsmith.analytics
import flagsmith.streaming_manager
import requests
from flagsmith import Flagsmith
from flagsmith.analytics import EventProcessorConfig
from flagsmith.models import DefaultFlag

logging.disable(logging.CRITICAL)
task = json.loads(sys.argv[1])
DEADLINE = task.get("deadline_ms", 10_000) / 1000


def report(**result):
    print(json.dumps(result), flush=True)


def client(key=None, **options):
    return Flagsmith(environment_key=key or task["client_key"], api_url=f"{task['base']}/api/v1/", **options)


def local(**options):
    return client(task["server_key"], enable_local_evaluation=True, realtime_api_url=task["base"], **options)


def traits(user):
    """The traits as the client wants them: a transient one is {value, transient}."""
    transient = user.get("transient_traits", [])
    return {
        key: {"value": value, "transient": True} if key in transient else value
        for key, value in user.get("traits", {}).items()
    }


def report_flags(flags, user):
    for name in task["flags"]:
        flag = flags.get_flag(name)
        report(user=user, flag=name, enabled=flag.enabled, value=flag.value, variant=flag.variant, reason=flag.reason)


def identities(flagsmith):
    for user in task["users"]:
        transient = user.get("transient", False)
        report_flags(flagsmith.get_identity_flags(user["id"], traits(user), transient=transient), user["id"])


def until(question):
    end = time.monotonic() + DEADLINE
    while (answer := question()) is None:
        if time.monotonic() > end:
            raise TimeoutError(f"not within {DEADLINE} s")
        time.sleep(0.01)
    return answer


def listen():
    """Remembers what the client sends in the background and how it is answered; the requests stay as they are."""
    heard = []

    def hear(response, *_, **__):
        sent, text = json.loads(response.request.body), response.text
        heard.append((response.request.path_url, response.status_code, sent, json.loads(text) if text else None))

    flagsmith.analytics.session.hooks["response"].append(hear)
    return heard


def experiment():
    """Each user sees the flag (an exposure when in the experiment) and then converts."""
    heard = listen()
    config = EventProcessorConfig(events_api_url=task["base"], flush_interval_seconds=3600)
    flags = client(enable_events=True, event_processor_config=config)
    conversion = task["conversion"]
    for user in task["users"]:
        flag = flags.get_experiment_flag(task["flags"][0], user["id"], traits(user))
        known = flag.experiment and {
            "id": flag.experiment.id,
            "name": flag.experiment.name,
            "inExperiment": flag.experiment.in_experiment,
        }
        report(
            user=user["id"],
            flag=task["flags"][0],
            enabled=flag.enabled,
            value=flag.value,
            variant=flag.variant,
            experiment=known,
        )
        flags.track_event(conversion["event"], user["id"], conversion["value"], traits(user), conversion.get("metadata"))
    processor = flags._event_processor
    again = list(processor._buffer)
    processor.flush()
    until(lambda: heard or None)
    # What the client does with a batch whose answer was lost: it queues the very same events and sends them again.
    processor._buffer = again
    processor.flush()
    until(lambda: heard if len(heard) == 2 else None)
    for _, status, sent, answer in heard:
        report(events=len(sent["events"]), status=status, answer=answer)


def realtime():
    opened = threading.Event()

    def observed(*arguments, **options):
        response = requests.get(*arguments, **options)
        opened.set()
        return response

    flagsmith.streaming_manager.requests = type("requests", (), {"get": staticmethod(observed)})
    flag, user = task["flags"][0], task["users"][0]
    flags = local(enable_realtime_updates=True)

    def value():
        return flags.get_identity_flags(user["id"], traits(user)).get_flag(flag).value

    before = value()
    if not opened.wait(DEADLINE):
        raise TimeoutError("the stream was not opened")
    report(ready=True, flag=flag, value=before)
    report(user=user["id"], flag=flag, value=until(lambda: value() if value() != before else None))


def polling():
    """Without live updates the client asks for the document again."""
    flag, user = task["flags"][0], task["users"][0]
    flags = local(environment_refresh_interval_seconds=0.1)

    def value():
        return flags.get_identity_flags(user["id"], traits(user)).get_flag(flag).value

    before = value()
    report(ready=True, flag=flag, value=before)
    report(user=user["id"], flag=flag, value=until(lambda: value() if value() != before else None))


def analytics():
    heard = listen()
    flags = client(enable_analytics=True)
    all_flags = flags.get_environment_flags()
    for _ in range(3):
        for name in task["flags"]:
            all_flags.is_feature_enabled(name)
    flags._analytics_processor.flush()
    path, status, sent, _ = until(lambda: heard[0] if heard else None)
    report(path=path, status=status, sent=sent)


def failure(name, action):
    try:
        flag = action()
        report(case=name, enabled=flag.enabled, value=flag.value, is_default=flag.is_default)
    except Exception as error:
        report(case=name, error=type(error).__name__, message=str(error))


def errors():
    flag = task["flags"][0]

    def default(name):
        return DefaultFlag(enabled=True, value=f"default of {name}")

    def get(flags, name=flag):
        return flags.get_environment_flags().get_flag(name)

    failure("wrong_key", lambda: get(client("env_wrong")))
    failure("wrong_key_default", lambda: get(client("env_wrong", default_flag_handler=default)))
    failure("unknown_flag", lambda: get(client(), "no-such-flag"))
    failure("unknown_flag_default", lambda: get(client(default_flag_handler=default), "no-such-flag"))
    failure("local_with_client_key", lambda: get(client(enable_local_evaluation=True)))
    failure("local_with_wrong_key", lambda: get(client("ser.wrong", enable_local_evaluation=True)))


modes = {
    "environment": lambda: report_flags(client().get_environment_flags(), None),
    "identity": lambda: identities(client()),
    "local_environment": lambda: report_flags(local().get_environment_flags(), None),
    "local": lambda: identities(local()),
    "experiment": experiment,
    "realtime": realtime,
    "polling": polling,
    "analytics": analytics,
    "errors": errors,
}
modes[task["mode"]]()
report(done=True)
