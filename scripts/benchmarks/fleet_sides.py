"""One side of ``scripts/bench fleet`` in a process of its own: many devices, or many bare clients.

All begin at once, each in a thread, and stay connected. Prints an object: the time until the last
was proven, and the resident memory that each takes while it is connected.
"""

import argparse
import faulthandler
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from awscrt import mqtt5
from awsiot import mqtt5_client_builder

from device.connection.awscrt_session import Network
from device.connection.pump import Pump
from fleet.crowd import Crowd, memory_kib
from fleet.limits import share_heap
from fleet.order import FleetOrder, Scenario
from fleet.sessions import Ceiling
from fleet.simulated_device import Shared
from scripts.benchmarks import bare_exchange

_LIMIT: Final = 120.0


def ours(folder: Path, count: int, _: argparse.Namespace) -> dict[str, float]:
    """Switch on the devices in ``folder``; they go to work when they are proven."""
    order = FleetOrder(
        count, scenario=Scenario.STEADY, rate=0.0, seconds=1.0, interval=60.0, limit=_LIMIT
    )
    baseline = memory_kib("self")
    folders = sorted(folder.iterdir())[:count]
    shared = Shared(order, Network(Pump()), Ceiling(None))
    begun = time.monotonic()
    crowd = Crowd(folders, shared, lambda _: None, None)
    crowd.run()
    if not all(record.is_proven for record in crowd.records):
        raise RuntimeError(f"not every device was proven within {_LIMIT:.0f} s")
    ended = max(begun + (each.proven_after or 0.0) for each in crowd.records)
    return _figures(ended - begun, crowd.moments[-1].memory_kib - baseline, count)


def bare(_: Path, count: int, options: argparse.Namespace) -> dict[str, float]:
    """Have ``count`` clients written with AWS's SDK alone do the same exchange, and stay."""
    server = {
        "endpoint": options.endpoint, "port": int(options.port), "ca_filepath": options.ca_file,
    }  # fmt: skip
    proven: list[Callable[[], None]] = []

    def live(serial: str) -> None:
        claim, close_claim = bare_exchange.start(
            mqtt5_client_builder.mtls_from_path, options.cert, options.key,
            client_id=f"claim-{serial}", **server,
        )  # fmt: skip
        made = bare_exchange.request_certificate(claim, options.template, serial)
        close_claim()
        certificate, key, thing = made
        build = mqtt5_client_builder.mtls_from_bytes
        client, close = bare_exchange.start(build, certificate, key, client_id=thing, **server)
        message = mqtt5.PublishPacket(
            topic=f"dt/{thing}/telemetry", payload=b"{}", qos=mqtt5.QoS.AT_LEAST_ONCE
        )
        client.publish(message).result(_LIMIT)
        proven.append(close)

    baseline, begun = memory_kib("self"), time.monotonic()
    threads = [
        threading.Thread(target=live, args=(f"{options.serial}-{number}",))
        for number in range(count)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds, memory = time.monotonic() - begun, memory_kib("self") - baseline
    for close in proven:
        close()
    if len(proven) != count:
        raise RuntimeError(f"{count - len(proven)} bare clients failed")
    return _figures(seconds, memory, count)


def _figures(seconds: float, kib: int, count: int) -> dict[str, float]:
    return {"wall": seconds / count * 1000, "memory": kib / count}


def main() -> None:
    """Run one side; both have one heap, as ``scripts/fleet`` has."""
    faulthandler.enable()
    share_heap()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("side", choices=("ours", "bare"))
    parser.add_argument("--devices", type=Path, required=True)
    parser.add_argument("--count", type=int, required=True)
    for name in ("endpoint", "port", "ca-file", "cert", "key", "template", "serial"):
        parser.add_argument(f"--{name}", required=True)
    options = parser.parse_args()
    run = ours if options.side == "ours" else bare
    print(json.dumps(run(options.devices, options.count, options)))  # noqa: T201


if __name__ == "__main__":
    main()
