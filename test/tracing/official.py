"""A client in Python that sends the context of its trace behind the arguments of its events."""

import json
import sys

import socketio

url, traceparent = sys.argv[1:]
client = socketio.Client(reconnection=False)
client.connect(url, namespaces=["/shop"], headers={"traceparent": traceparent}, wait_timeout=10)
attributes = {"traceparent": traceparent}
answers = [
    client.call("order", ("book", attributes), namespace="/shop", timeout=10),
    client.call("several", ("a", "b", attributes), namespace="/shop", timeout=10),
    client.call("bare", (attributes,), namespace="/shop", timeout=10),
]
client.disconnect()
print(json.dumps(answers))
