"""awsiotsdk, AWS's SDK version 2 for Python: its MQTT 5 client with a session that is kept."""

import itertools
import os
import time

from awscrt import mqtt5
from awsiot import mqtt5_client_builder


def main() -> None:
    """Run until stopped."""

    def connected(data: mqtt5.LifecycleConnectSuccessData) -> None:
        if not data.connack_packet.session_present:
            wanted = mqtt5.Subscription("advisor/in", mqtt5.QoS.AT_LEAST_ONCE)
            client.subscribe(mqtt5.SubscribePacket([wanted]))

    client = mqtt5_client_builder.mtls_from_path(
        endpoint=os.environ["ADVISOR_HOST"],
        port=int(os.environ["ADVISOR_PORT"]),
        cert_filepath=os.environ["ADVISOR_CERTIFICATE"],
        pri_key_filepath=os.environ["ADVISOR_KEY"],
        ca_filepath=os.environ["ADVISOR_CA"],
        client_id=os.environ["ADVISOR_CLIENT_ID"],
        keep_alive_interval_sec=10,
        ping_timeout_ms=5000,
        connack_timeout_ms=3000,
        max_reconnect_delay_ms=8000,
        session_behavior=mqtt5.ClientSessionBehaviorType.REJOIN_ALWAYS,
        session_expiry_interval_sec=3600,
        on_lifecycle_connection_success=connected,
    )
    client.start()
    for number in itertools.count():
        time.sleep(1)
        packet = mqtt5.PublishPacket(
            topic="advisor/out", payload=str(number), qos=mqtt5.QoS.AT_LEAST_ONCE
        )
        client.publish(packet)


if __name__ == "__main__":
    main()
