"""Sends events with Segment's own Python client: python segment_python.py URL WRITE_KEY COUNT

Journals each event on stdout as it is handed to the client; ends with `done` once the client has delivered all.
"""

import sys
import time
import uuid

from segment.analytics.client import Client

url, key, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
failures = []
client = Client(
    key,
    host=url,
    gzip=True,
    upload_size=20,
    upload_interval=0.1,
    max_retries=30,
    on_error=lambda error, items: failures.append((error, len(items))),
)


def send(index):
    user = f"user-{index % 50}"
    message = str(uuid.uuid4())
    variation = {"experiment_id": "checkout", "variation_id": "on" if index % 4 < 2 else "off"}
    kind = index % 10
    if kind == 0:
        client.identify(user, {"plan": "pro"}, message_id=message)
    elif kind == 1:
        client.page(user, name="Checkout", properties={"path": "/checkout"}, message_id=message)
    elif kind in (2, 3):
        client.track(user, "Experiment Viewed", variation, message_id=message)
    elif kind == 4:
        client.group(user, "account-1", {"seats": 5}, message_id=message)
    else:
        client.track(user, "Order Completed", {"revenue": 9.5}, message_id=message)
    return message


journal = []
for index in range(count):
    journal.append(send(index))
    print(f"sent {index}", flush=True)
    if index % 10 == 9:
        time.sleep(0.1)
client.flush()
client.join()
if failures:
    print(f"not delivered: {failures[0]}", file=sys.stderr)
    sys.exit(1)
for message in journal:
    print(f"id {message}")
print("done", flush=True)
