"""A renewal while the device publishes, beside the bare exchange; and what it costs the telemetry.

One device publishes a counter all the time, and renews once a round. The largest gap between two
acknowledgements during the renewal is compared with that of as long a time without one.
"""

import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

from device.errors import FirstbootError, StoppedError
from device.operation.renewal import RenewalOrders
from device.operation.task import Order, QuietTask
from device.runtime.timeline import Step
from device.startup import StartOptions, start_device
from scripts.benchmarks.comparison import Figures, Quantity, Row, compare
from scripts.benchmarks.first_boot import bare_command, seconds_of
from scripts.benchmarks.processes import BenchError
from scripts.benchmarks.workbench import CHECKOUT, Workbench, open_workbench

ROTATION: Final = (Quantity("seconds", "ordered to retired", "s"),)
GAP: Final = (Quantity("gap", "longest without a PUBACK", "s"),)
COUNT: Final = (Quantity("messages", "acknowledged, published", ""),)
_EVERY_SECONDS: Final = 0.1
_REST_SECONDS: Final = 1.0
"""Between two renewals: AWS IoT takes one CONNECT a second per client id."""


class Rotations(QuietTask):
    """The task that orders renewals, one after the other, and notes when what happened."""

    def __init__(self, orders: RenewalOrders, rounds: int) -> None:
        """Order ``rounds`` of them, and one before that does not count."""
        self._orders: Final = orders
        self._left = rounds + 1
        self._due = 0.0
        self._began = 0.0
        self.spans: Final[list[tuple[float, float]]] = []
        """Beginning and end of each, in seconds of `time.perf_counter`."""
        self.failures: Final[list[FirstbootError]] = []
        self.acknowledged: Final[list[tuple[float, int]]] = []
        """When each number of the telemetry was."""

    def note(self, step: Step) -> None:
        """Note the telemetry's acknowledgements."""
        if step.name == "telemetry acknowledged":
            self.acknowledged.append((time.perf_counter(), int(step.detail.split()[-1])))

    def next_due(self) -> float:
        """Return when the next renewal is to be ordered."""
        return self._due

    def on_due(self, now: float) -> Sequence[Order]:
        """Order a renewal after a rest, or end when all are done."""
        if self._due == 0.0:
            self._due = now + _REST_SECONDS
        elif self._left == 0 or self.failures:
            raise StoppedError("all renewals are done")
        else:
            self._due = float("inf")
            self._left -= 1
            self._began = time.perf_counter()
            self._orders.order("the bench wants it", self._ended)
        return []

    def _ended(self, failure: FirstbootError | None) -> None:
        self.failures.extend([failure] if failure is not None else [])
        self.spans.append((self._began, time.perf_counter()))
        self._due = 0.0


def rotate(rounds: int) -> Mapping[str, list[Row]]:
    """Measure both sides and return the rows.

    Raises:
        BenchError: a side, or the set-up, did not do its work.
    """
    with open_workbench() as bench:
        bench.call("factory", "prepare", "--method", "claim", "--renewal", *bench.station)
        bare = bare_command(bench)
        seconds = [
            {"seconds": seconds_of(bench.measure(*bare, "--serial", f"BARE-{number}"))}
            for number in range(rounds + 1)
        ]
        found = _operate(bench, rounds)
    return {
        "rotation, while serving": compare(ROTATION, _seconds(found), seconds[1:]),
        "telemetry every 0.1 s": compare(GAP, _gaps(found), _gaps_at_rest(found)),
        "the telemetry's counter": compare(COUNT, [_counted(found)], [_expected(found)]),
    }


def _operate(bench: Workbench, rounds: int) -> Rotations:
    """Run a device through its renewals in this process, at work all the time."""
    told: list[Rotations] = []
    options = StartOptions(
        state=bench.make_device("ROTATES"),
        config=CHECKOUT / "config/claim.yaml",
        environment={**bench.cloud, "DEVICE_TELEMETRY__INTERVAL": str(_EVERY_SECONDS)},
        flags={},
        claim_place=None,
    )

    def tell(step: Step) -> None:
        for each in told:
            each.note(step)

    with start_device(options, tell, lambda _: None) as started:
        started.agent.boot(started.patience)
        told.append(Rotations(started.agent.renewal_orders, rounds))
        started.agent.operate(told[0])
    if told[0].failures:
        raise BenchError(f"a renewal failed: {told[0].failures[0]}")
    return told[0]


def _seconds(found: Rotations) -> list[Figures]:
    return [{"seconds": end - begin} for begin, end in found.spans[1:]]


def _gaps(found: Rotations) -> list[Figures]:
    return [{"gap": _longest(found, begin, end)} for begin, end in found.spans[1:]]


def _gaps_at_rest(found: Rotations) -> list[Figures]:
    """Return those of the rests before each renewal."""
    return [{"gap": _longest(found, end, begin)} for (_, end), (begin, _) in pairwise(found.spans)]


def _longest(found: Rotations, begin: float, end: float) -> float:
    moments = [moment for moment, _ in found.acknowledged]
    during = [(a, b) for a, b in pairwise(moments) if b > begin and a < end]
    return max((b - a for a, b in during), default=end - begin)


def _counted(found: Rotations) -> Figures:
    return {"messages": float(len({number for _, number in found.acknowledged}))}


def _expected(found: Rotations) -> Figures:
    """Return the counter's last number: as many were published."""
    return {"messages": float(max((number for _, number in found.acknowledged), default=0))}
