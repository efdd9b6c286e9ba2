"""OpenFeature's Python SDK with the OFREP provider: python ofrep_python.py TASK

TASK is a JSON object (see sdks.rs); its `mode` names what to do. One JSON line a result, `{"done": true}` at the end.
"""

import json
import logging
import sys

from openfeature import api
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext

logging.disable(logging.CRITICAL)
task = json.loads(sys.argv[1])


def report(**result):
    print(json.dumps(result), flush=True)


def client(headers):
    api.set_provider(OFREPProvider(task["base"], headers_factory=lambda: headers))
    return api.get_client()


def bearer(key):
    return {"Authorization": f"Bearer {key}"}


def details(features, evaluation, user):
    context = EvaluationContext(user.get("id"), user.get("traits", {}))
    ask = getattr(features, f"get_{evaluation['type']}_details")
    answer = ask(evaluation["flag"], evaluation["default"], context)
    return {
        "flag": evaluation["flag"],
        "type": evaluation["type"],
        "value": answer.value,
        "variant": answer.variant,
        "reason": answer.reason,
        "error": answer.error_code,
        "message": answer.error_message,
        "metadata": dict(answer.flag_metadata),
    }


def values(headers):
    features = client(headers)
    for user in task["users"]:
        for evaluation in task["evaluations"]:
            report(user=user.get("id"), **details(features, evaluation, user))


def errors():
    good, user = task["evaluations"][0], task["users"][0]
    features = client(bearer(task["client_key"]))
    report(case="unknown_flag", **details(features, {**good, "flag": "no-such-flag"}, user))
    # The provider puts the key into the path as it is.
    report(case="unknown_flag_with_slash", **details(features, {**good, "flag": "team/no-such-flag"}, user))
    other = {"type": "boolean", "default": True} if good["type"] == "string" else {"type": "string", "default": "mine"}
    report(case="type_mismatch", **details(features, {**good, **other}, user))
    nobody = {"traits": user.get("traits", {})}
    report(case="missing_targeting_key", **details(features, task["divided"], nobody))
    for name, headers in [("wrong_key", bearer("env_wrong")), ("no_key", {})]:
        report(case=name, **details(client(headers), good, user))


modes = {
    "values": lambda: values(bearer(task["client_key"])),
    # The other header that the protocol knows.
    "values_by_api_key": lambda: values({"X-API-Key": task["server_key"]}),
    "errors": errors,
}
modes[task["mode"]]()
report(done=True)
