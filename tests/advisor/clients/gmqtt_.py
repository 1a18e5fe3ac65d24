"""gmqtt (MQTT 5)."""

import asyncio
import itertools
import os
import ssl
from typing import Any

import gmqtt


async def main() -> None:
    """Run until stopped."""
    context = ssl.create_default_context(cafile=os.environ["ADVISOR_CA"])
    context.load_cert_chain(os.environ["ADVISOR_CERTIFICATE"], os.environ["ADVISOR_KEY"])
    client = gmqtt.Client(
        os.environ["ADVISOR_CLIENT_ID"], clean_session=False, session_expiry_interval=3600
    )
    client.set_config({"reconnect_retries": -1, "reconnect_delay": 2})

    def connected(who: Any, flags: int, *_more: Any) -> None:
        if not flags & 1:
            who.subscribe("advisor/in", qos=1)

    client.on_connect = connected
    host, port = os.environ["ADVISOR_HOST"], int(os.environ["ADVISOR_PORT"])
    await client.connect(host, port, ssl=context, keepalive=10)
    for number in itertools.count():
        client.publish("advisor/out", str(number), qos=1)
        await asyncio.sleep(1)


if __name__ == "__main__":
    asyncio.run(main())
