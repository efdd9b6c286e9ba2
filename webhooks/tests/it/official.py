"""Verifies and signs with the official library: one JSON object a line in, one a line out."""

import datetime
import json
import sys

from standardwebhooks import Webhook, WebhookVerificationError

for line in sys.stdin:
    case = json.loads(line)
    webhook = Webhook(case["secret"])
    headers = {
        "webhook-id": case["id"],
        "webhook-timestamp": str(case["timestamp_s"]),
        "webhook-signature": case["signature"],
    }
    try:
        webhook.verify(case["body"], headers)
        verified = True
    except WebhookVerificationError:
        verified = False
    at = datetime.datetime.fromtimestamp(case["timestamp_s"], tz=datetime.timezone.utc)
    print(json.dumps({"verified": verified, "signature": webhook.sign(case["id"], at, case["body"])}))
