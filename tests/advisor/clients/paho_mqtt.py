"""paho-mqtt, with its network thread and a persistent session (MQTT 3.1.1)."""

import itertools
import os
import time
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion


def main() -> None:
    """Run until stopped."""
    client = Client(
        CallbackAPIVersion.VERSION2, client_id=os.environ["ADVISOR_CLIENT_ID"], clean_session=False
    )
    told = os.environ
    client.tls_set(told["ADVISOR_CA"], told["ADVISOR_CERTIFICATE"], told["ADVISOR_KEY"])
    client.reconnect_delay_set(1, 8)

    def connected(who: Client, _data: Any, flags: Any, *_more: Any) -> None:
        if not flags.session_present:
            who.subscribe("advisor/in", 1)

    client.on_connect = connected
    client.connect_async(os.environ["ADVISOR_HOST"], int(os.environ["ADVISOR_PORT"]), 10)
    client.loop_start()
    for number in itertools.count():
        time.sleep(1)
        if client.is_connected():
            client.publish("advisor/out", str(number), 1)


if __name__ == "__main__":
    main()
