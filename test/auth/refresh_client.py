"""Drives Debian's python-socketio: refreshes its rights by hand. refresh_client.py URL TOKEN TOKEN TOKEN

Prints one JSON object per check: {"check": name, "value": what was seen}. The test knows what it has to be.
"""
import asyncio
import json
import sys

import socketio

URL, FIRST, SECOND, REFUSED = sys.argv[1:5]


def report(check, value):
    print(json.dumps({"check": check, "value": value}), flush=True)


async def main():
    client = socketio.AsyncClient(reconnection=False)
    notices = asyncio.Queue()
    client.on("auth:expiring", notices.put_nowait, namespace="/desk")

    async def refresh(token):
        return await client.call("auth", {"token": token}, namespace="/desk")

    await client.connect(URL, transports=["websocket"], namespaces=["/desk"], auth={"token": FIRST}, wait_timeout=10)
    report("first", await client.call("whoami", namespace="/desk"))
    report("notice", list(await asyncio.wait_for(notices.get(), 10)))
    report("refused", await refresh(REFUSED))
    report("refreshed", await refresh(SECOND))
    report("second", await client.call("whoami", namespace="/desk"))
    await client.disconnect()


asyncio.run(main())
