"""The least that a device at work can be: AWS's SDK, one connection, messages at QoS 1.

The yardstick for ``scripts/bench run``. With ``--every`` it publishes at that interval until
SIGTERM ends it; with ``--count`` it publishes so many messages and prints the seconds until the
last one was acknowledged. ``--unlimited`` lifts the SDK's own limit of 100 messages a second.
"""

import argparse
import signal
import threading
import time
from concurrent.futures import Future
from typing import Final

from awscrt import mqtt5
from awsiot import mqtt5_client_builder

TIMEOUT: Final = 60


def connect(options: argparse.Namespace) -> mqtt5.Client:
    """Return a client that is connected."""
    connected: Future[object] = Future()
    limits = {}
    if options.unlimited:
        none = mqtt5.ExtendedValidationAndFlowControlOptions.NONE
        limits["extended_validation_and_flow_control_options"] = none
    client = mqtt5_client_builder.mtls_from_path(
        options.cert,
        options.key,
        client_id=options.thing,
        endpoint=options.endpoint,
        port=int(options.port),
        ca_filepath=options.ca_file,
        on_lifecycle_connection_success=connected.set_result,
        on_lifecycle_connection_failure=lambda data: connected.set_exception(data.exception),
        **limits,
    )
    client.start()
    connected.result(TIMEOUT)
    return client


def main() -> None:
    """Connect and publish."""
    options = _options()
    client = connect(options)
    packet = mqtt5.PublishPacket(
        topic=options.topic, payload=bytes(options.size), qos=mqtt5.QoS.AT_LEAST_ONCE
    )
    if options.count:
        begin = time.monotonic()
        for future in [client.publish(packet) for _ in range(options.count)]:
            future.result(TIMEOUT)
        print(f"acknowledged after: {time.monotonic() - begin:.6f} s")  # noqa: T201
        return
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    while not over.wait(options.every):
        client.publish(packet).result(TIMEOUT)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("endpoint", "port", "ca-file", "cert", "key", "thing", "topic"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--every", type=float, default=2.0)
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--size", type=int, default=100)
    parser.add_argument("--unlimited", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
