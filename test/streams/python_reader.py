"""Reads a resumable stream with python-socketio, by hand: python_reader.py URL WORDS

It reads half of the stream, leaves, and reads the rest over another connection. Then it stops a second stream. Prints one line of JSON.
"""
import json
import sys
import threading

import socketio

URL, WORDS = sys.argv[1], int(sys.argv[2])
NAMESPACE = "/ai"
PATIENCE = 10


def connect():
    client = socketio.Client(reconnection=False)
    client.connect(URL, namespaces=[NAMESPACE], transports=["websocket"])
    return client


def call(client, event, payload):
    return client.call(event, payload, namespace=NAMESPACE, timeout=PATIENCE)


def read(stream, values, until):
    """Reads on from the values that there are, until there are so many, or the end.

    The client of Python handles each event in a thread of its own: items may overtake each other here.
    """
    client = connect()
    done = threading.Event()
    lock = threading.Lock()
    early = []
    ends = []

    def on_items(items):
        with lock:
            if items["stream"] != stream or done.is_set():
                return
            early.append(items)
            early.sort(key=lambda one: one["from"])
            while early and early[0]["from"] <= len(values) and not done.is_set():
                take(early.pop(0))

    def take(items):
        values.extend(items["values"][len(values) - items["from"]:])
        if "end" in items:
            ends.append(items["end"]["_tag"])
        if ends or len(values) >= until:
            done.set()

    client.on("answer:items", on_items, namespace=NAMESPACE)
    reply = call(client, "answer:read", {"stream": stream, "after": len(values)})
    assert done.wait(PATIENCE), "nothing more has come"
    client.disconnect()
    return reply, ends[0] if ends else None


first = connect()
stream = call(first, "answer", {"chat": "a chat of python that is long", "words": WORDS})["stream"]
first.disconnect()
values = []
read(stream, values, WORDS // 2)
_, end = read(stream, values, WORDS + 1)

second = connect()
chat = "another chat of python"
running = call(second, "answer", {"chat": chat, "words": 1_000_000})["stream"]
found = call(second, "answer:find", chat) == running
stopped = call(second, "answer:stop", {"stream": running})
_, stop = read(running, [], 1_000_001)
gone = call(second, "answer:read", {"stream": "none", "after": 0})
second.disconnect()

print(json.dumps({"values": values, "end": end, "found": found, "stopped": stopped, "stop": stop, "gone": gone}))
