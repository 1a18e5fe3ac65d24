"""aiomqtt, with the reconnecting loop of its documentation (MQTT 3.1.1)."""

import asyncio
import itertools
import os

import aiomqtt


async def main() -> None:
    """Run until stopped."""
    tls = aiomqtt.TLSParameters(
        ca_certs=os.environ["ADVISOR_CA"],
        certfile=os.environ["ADVISOR_CERTIFICATE"],
        keyfile=os.environ["ADVISOR_KEY"],
    )
    client = aiomqtt.Client(
        os.environ["ADVISOR_HOST"],
        int(os.environ["ADVISOR_PORT"]),
        identifier=os.environ["ADVISOR_CLIENT_ID"],
        clean_session=False,
        keepalive=10,
        tls_params=tls,
    )
    while True:
        try:
            async with client:
                await client.subscribe("advisor/in", qos=1)
                for number in itertools.count():
                    await client.publish("advisor/out", str(number), qos=1)
                    await asyncio.sleep(1)
        except aiomqtt.MqttError:
            await asyncio.sleep(2)


if __name__ == "__main__":
    asyncio.run(main())
