"""Drives Debian's python-socketio against a server: python_client.py URL sync|async TRANSPORT[,TRANSPORT]

Prints one JSON object per check: {"check": name, "value": what was seen}. The test knows what it has to be.
"""
import asyncio
import inspect
import json
import queue
import sys

import socketio

URL, KIND, TRANSPORTS = sys.argv[1], sys.argv[2], sys.argv[3].split(",")
PATIENCE = 10


def plain(value):
    """Bytes as something that JSON has."""
    if isinstance(value, (bytes, bytearray)):
        return {"bytes": list(value)}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value


def report(check, value):
    print(json.dumps({"check": check, "value": plain(value)}), flush=True)


class Peer:
    """The same face on both kinds of client."""

    def __init__(self):
        self.is_async = KIND == "async"
        self.client = socketio.AsyncClient(reconnection=False) if self.is_async else socketio.Client(reconnection=False)
        self.seen = asyncio.Queue() if self.is_async else queue.Queue()

    def listen(self, event, namespace="/"):
        def handler(*args):
            self.seen.put_nowait((event, list(args)))
        self.client.on(event, handler, namespace=namespace)

    async def run(self, result):
        return await result if inspect.isawaitable(result) else result

    async def connect(self, namespaces=("/",), auth=None, wait=True):
        await self.run(self.client.connect(
            URL, transports=TRANSPORTS, namespaces=list(namespaces), auth=auth, wait=wait, wait_timeout=PATIENCE))

    async def next(self, event):
        while True:
            if self.is_async:
                name, args = await asyncio.wait_for(self.seen.get(), PATIENCE)
            else:
                name, args = self.seen.get(timeout=PATIENCE)
            if name == event:
                return args

    async def emit(self, event, data=None, namespace="/"):
        await self.run(self.client.emit(event, data, namespace=namespace))

    async def call(self, event, data=None, namespace="/"):
        return await self.run(self.client.call(event, data, namespace=namespace, timeout=PATIENCE))

    async def sleep(self, seconds):
        await self.run(self.client.sleep(seconds))

    async def disconnect(self):
        await self.run(self.client.disconnect())


async def main():
    peer = Peer()
    for event in ("auth", "message-back", "answered", "room-message"):
        peer.listen(event)
    peer.listen("message-back", "/custom")
    answers = {"count": 0}

    def question(*args):
        answers["count"] += 1
        return (args[0], {"again": args[0]})
    peer.client.on("question", question)

    await peer.connect(("/", "/custom"), auth={"token": "py"})
    report("auth", await peer.next("auth"))
    report("transport", await peer.call("transport"))

    await peer.emit("message", (1, "zwei", {"drei": [None, True]}))
    report("message", await peer.next("message-back"))
    report("ack", await peer.call("message-with-ack", ("a", {"b": 1})))
    await peer.emit("message", (b"\x01\x02", {"nested": [b"\x03"]}))
    report("binary", await peer.next("message-back"))
    report("binary ack", await peer.call("message-with-ack", {"data": b"\x04"}))
    await peer.emit("ask", "wie")
    report("server asks", await peer.next("answered"))
    await peer.emit("ask", b"\x05")
    report("server asks with binary", await peer.next("answered"))
    await peer.emit("message", "custom", namespace="/custom")
    report("namespace", await peer.next("message-back"))
    text = "\u20ac" * 100000
    report("large", await peer.call("message-with-ack", text) == text)

    other = Peer()
    other.listen("room-message")
    await other.connect()
    await peer.call("join", "room")
    await other.call("join", "room")
    await peer.call("to-room", ("room", "hello", b"\x06"))
    report("room", await other.next("room-message"))
    await other.disconnect()

    await peer.sleep(1.5)
    report("still there", await peer.call("message-with-ack", "still there"))

    gone = asyncio.Event() if peer.is_async else None
    left = []

    def disconnected(*args):
        left.append("custom")
        if gone is not None:
            gone.set()
    peer.client.on("disconnect", disconnected, namespace="/custom")
    await peer.emit("bye", False, namespace="/custom")
    if gone is not None:
        await asyncio.wait_for(gone.wait(), PATIENCE)
    else:
        for _ in range(PATIENCE * 100):
            if left:
                break
            await peer.sleep(0.01)
    report("left by the server", left)
    report("other namespace stays", await peer.call("message-with-ack", 1))
    await peer.disconnect()

    refused = Peer()
    refused.listen("connect_error", "/auth")
    # To wait for the connection takes all of the patience, and this one does not come.
    await refused.connect(("/auth",), auth={"token": "wrong"}, wait=False)
    report("refused", await refused.next("connect_error"))
    await refused.disconnect()
    admitted = Peer()
    await admitted.connect(("/auth",), auth={"token": "secret"})
    report("admitted", await admitted.call("message-with-ack", "in", namespace="/auth"))
    await admitted.disconnect()


asyncio.run(main())
