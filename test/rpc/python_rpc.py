"""Calls one Rpc, and reads one stream, by hand: python_rpc.py URL TRANSPORT[,TRANSPORT]

Prints the answers as JSON, one in a line. The client of Python handles each event in a thread of its own: frames may overtake each
other here, so the numbers are sorted.
"""
import json
import os
import queue
import sys

import socketio

frames = queue.Queue()
sio = socketio.Client(reconnection=False)
sio.on("rpc", frames.put, namespace="/library")
sio.connect(sys.argv[1], transports=sys.argv[2].split(","), namespaces=["/library"], wait_timeout=10)

# A call: one frame out, one back.
sio.emit("rpc", {"_tag": "Request", "id": 1, "tag": "Find", "payload": {"id": "7"}}, namespace="/library")
print(json.dumps(frames.get(timeout=10)))

# A stream: every chunk is acknowledged, the end is an Exit.
COUNT = 40
sio.emit("rpc", {"_tag": "Request", "id": 2, "tag": "Chapters", "payload": {"count": COUNT}}, namespace="/library")
numbers = []
end = None
while end is None or len(numbers) < COUNT:
    frame = frames.get(timeout=10)
    if frame["_tag"] == "Exit":
        end = frame
    else:
        numbers += frame["values"]
        sio.emit("rpc", {"_tag": "Ack", "requestId": 2}, namespace="/library")
print(json.dumps(sorted(numbers)))
print(json.dumps(end))

# Its disconnect() waits for the end of a poll, which may be a heartbeat away.
sys.stdout.flush()
os._exit(0)
