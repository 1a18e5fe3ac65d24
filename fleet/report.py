"""What a run was, in numbers: percentiles of each step, calls, waits, memory, invariants."""

import csv
import json
import math
import os
import platform
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from fleet.crowd import Moment
from fleet.invariants import Violation
from fleet.order import OPERATING as AT_WORK
from fleet.order import FleetOrder
from fleet.record import OF_RENEWAL, OPERATING, RENEWED, Record

_TELLING: Final = 100
"""Of fewer devices a fifth is too few to say what each costs."""
_MOST_NAMED: Final = 20
"""Violations and unfinished devices that are named; all are counted."""


@dataclass(frozen=True)
class Run:
    """What was ordered, and all that was seen."""

    order: FleetOrder
    records: Sequence[Record]
    moments: Sequence[Moment]
    violations: Sequence[Violation]
    baseline_kib: int
    """Resident memory of this process before the first device was there."""
    unregistered: int = 0
    """Certificates that a power cut left behind, never activated."""
    storm_at: float | None = None
    ended_by: str = "done"
    """``done``, ``limit``, ``ceiling`` or ``Ctrl-C``."""
    load: tuple[float, float] = (0.0, 0.0)
    """The machine's load average before and after."""

    @property
    def is_good(self) -> bool:
        """Whether every device is proven, and every invariant holds."""
        is_whole = self.ended_by == "done" and all(each.is_proven for each in self.records)
        return is_whole and not self.violations


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that ``percent`` of ``values`` do not exceed (nearest rank).

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("no values have no percentile")
    rank = max(1, math.ceil(len(values) * percent / 100))
    return sorted(values)[rank - 1]


def document_of(run: Run) -> dict[str, Any]:
    """Return the report as one object."""
    return {
        "order": {**asdict(run.order), "scenario": str(run.order.scenario)},
        "ended_by": run.ended_by,
        "machine": {
            "processors": os.cpu_count(), "python": platform.python_version(),
            "load_before": run.load[0], "load_after": run.load[1],
        },
        "devices": _devices(run),
        "steps": steps(run.records),
        "calls": _calls(run),
        "retries": sum(sum(each.waits.values()) for each in run.records),
        "waited_seconds": round(sum(each.waited for each in run.records), 1),
        "refusals": _refusals(run.records),
        "memory": _memory(run),
        "local_aws": _local_aws(run),
        "storm": _storm(run),
        "invariants": {
            "hold": not run.violations,
            "violations": len(run.violations),
            "first": [asdict(each) for each in run.violations[:_MOST_NAMED]],
            "certificates_never_activated": run.unregistered,
        },
    }  # fmt: skip


def steps(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Return each step with count and percentiles: milliseconds since the step before."""
    found: dict[str, list[float]] = defaultdict(list)
    for record in records:
        for step in record.steps:
            found[step.name].append(step.ms)
    return [{"step": name, **_summary(values, "ms")} for name, values in found.items()]


def write_csv(run: Run, path: Path) -> None:
    """Write a line a device."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([
            "serial", "proven_after_s", "power_ons", "power_cuts", "calls", "retries", "waited_s",
            "certificate_id", "failure",
        ])  # fmt: skip
        for each in run.records:
            proven = "" if each.proven_after is None else f"{each.proven_after:.3f}"
            writer.writerow([
                each.serial, proven, each.power_ons, each.power_cuts, sum(each.calls.values()),
                sum(each.waits.values()), f"{each.waited:.1f}", each.certificate_id, each.failure,
            ])  # fmt: skip


def write_json(document: Mapping[str, Any], path: Path) -> None:
    """Write the report."""
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _devices(run: Run) -> dict[str, Any]:
    proven = [each.proven_after for each in run.records if each.proven_after is not None]
    # Some may be proven while the fleet is being stopped, after the last look.
    most = max((each.proven for each in run.moments), default=0)
    seconds = next((each.seconds for each in run.moments if most and each.proven == most), 0.0)
    unfinished = [each for each in run.records if not each.is_proven]
    return {
        "ordered": run.order.devices,
        "proven": len(proven),
        "unfinished": len(unfinished),
        "first_unfinished": [
            {"serial": each.serial, "why": each.failure or "stopped before it was proven"}
            for each in unfinished[:_MOST_NAMED]
        ],
        "seconds_until_all_proven": round(seconds, 2),
        "proven_a_second": round(len(proven) / seconds, 2) if seconds else None,
        "power_on_to_proven": _summary(proven, "s") if proven else None,
        "power_cuts": sum(each.power_cuts for each in run.records),
    }


def _calls(run: Run) -> dict[str, int]:
    counted: Counter[str] = Counter()
    for record in run.records:
        counted.update(dict(record.calls))
    return {name: count for name, count in counted.items() if count}


def _refusals(records: Sequence[Record]) -> dict[str, int]:
    counted: Counter[str] = Counter()
    for record in records:
        counted.update(dict(record.waits))
    return dict(counted.most_common())


def _memory(run: Run) -> dict[str, Any]:
    peak = max((each.memory_kib for each in run.moments), default=run.baseline_kib)
    return {
        "baseline_kib": run.baseline_kib,
        "peak_kib": peak,
        "kib_a_device": round((peak - run.baseline_kib) / run.order.devices, 1),
    }


def _local_aws(run: Run) -> dict[str, Any] | None:
    first = next((each for each in run.moments if each.cloud_memory_kib), None)
    if first is None:
        return None
    last, peak = run.moments[-1], max(each.cloud_memory_kib for each in run.moments)
    cpu, calls = last.cloud_cpu - first.cloud_cpu, last.calls - first.calls
    return {
        "kib_a_device": round((peak - first.cloud_memory_kib) / run.order.devices, 1),
        "cpu_seconds": round(cpu, 2),
        "cpu_ms_a_call": round(cpu * 1000 / calls, 3) if calls else None,
        # Devices that stay at work cost more the more there are.
        "cpu_ms_a_device": None if run.order.scenario in AT_WORK else growth(run.moments),
        "most_calls_a_second": round(most_calls_a_second(run.moments), 1),
    }


def growth(moments: Sequence[Moment]) -> dict[str, float] | None:
    """Return what a first boot cost the local AWS in the first fifth of the fleet and in the last.

    Where it grows with the number of devices that are registered already, the ratio is above 1.
    None for a fleet that is too small to tell.
    """
    last = max((each.proven for each in moments), default=0)
    if last < _TELLING:
        return None
    at = [next(each for each in moments if each.proven >= last * part / 5) for part in (0, 1, 4, 5)]
    first, late = _ms_a_device(at[0], at[1]), _ms_a_device(at[2], at[3])
    ratio = late / first if first else 0.0
    return {"first_fifth": round(first, 2), "last_fifth": round(late, 2), "ratio": round(ratio, 2)}


def _ms_a_device(earlier: Moment, later: Moment) -> float:
    devices = later.proven - earlier.proven
    return (later.cloud_cpu - earlier.cloud_cpu) * 1000 / devices if devices else 0.0


def most_calls_a_second(moments: Sequence[Moment], window: float = 1.0) -> float:
    """Return the highest rate of calls over at least ``window`` seconds."""
    rates, start = [0.0], 0
    for end in range(len(moments)):
        while moments[end].seconds - moments[start + 1 if start < end else start].seconds >= window:
            start += 1
        span = moments[end].seconds - moments[start].seconds
        if span >= window:
            rates.append((moments[end].calls - moments[start].calls) / span)
    return max(rates)


def _storm(run: Run) -> dict[str, Any] | None:
    """Return how long after the storm each device was back at work, or had renewed."""
    if run.storm_at is None:
        return None
    last = f"{OF_RENEWAL}{RENEWED}" if run.order.renews else OPERATING
    through = []
    for record in run.records:
        after = [step.at for step in record.steps if step.name == last and step.at > run.storm_at]
        through += [after[0] - run.storm_at] if after else []
    return {"devices_through": len(through), **(_summary(through, "s") if through else {})}


def _summary(values: Sequence[float], unit: str) -> dict[str, Any]:
    named = {f"p50_{unit}": 50.0, f"p99_{unit}": 99.0, f"max_{unit}": 100.0}
    found = {name: round(percentile(values, percent), 3) for name, percent in named.items()}
    return {"count": len(values), **found}


def rates(moments: Sequence[Moment]) -> list[tuple[float, float]]:
    """Return the calls a second between each two moments."""
    return [
        (later.seconds, (later.calls - earlier.calls) / (later.seconds - earlier.seconds))
        for earlier, later in pairwise(moments)
        if later.seconds > earlier.seconds
    ]
