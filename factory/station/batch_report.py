"""What became of a batch: how many passed, how long it took, and what the failures have in common.

The ledger has it all: the report counts its lines, and can be made again years later.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from xml.etree import ElementTree as ET  # nosec B405 - it writes XML, and reads none

from factory.errors import BATCH_UNKNOWN
from factory.station.ledger import Entry, Result

_NOT_FINISHED = "NotFinished"


@dataclass(frozen=True)
class DeviceReport:
    """One serial number of the batch."""

    serial_number: str
    method: str
    result: str
    """``PASS``, or ``FAIL``."""
    error: str = ""
    """The class of the error; `_NOT_FINISHED` where the making was stopped."""
    note: str = ""
    attempts: int = 1
    seconds: float | None = None


@dataclass(frozen=True)
class BatchReport:
    """All of the batch."""

    batch: str
    devices: Sequence[DeviceReport]
    begun: datetime
    ended: datetime

    @property
    def passed(self) -> int:
        """How many devices are made."""
        return sum(each.result == "PASS" for each in self.devices)

    @property
    def first_pass(self) -> int:
        """How many were made at the first attempt."""
        return sum(each.result == "PASS" and each.attempts == 1 for each in self.devices)

    @property
    def causes(self) -> Mapping[str, list[DeviceReport]]:
        """The failed devices by the class of their error, the most frequent first."""
        failed = [each for each in self.devices if each.result == "FAIL"]
        counted = Counter(each.error for each in failed).most_common()
        return {error: [each for each in failed if each.error == error] for error, _ in counted}

    @property
    def took(self) -> timedelta:
        """From the first line of the batch to its last."""
        return self.ended - self.begun

    @property
    def seconds(self) -> Sequence[float]:
        """How long each making took, where that is known, the shortest first."""
        return sorted(each.seconds for each in self.devices if each.seconds is not None)

    def as_fields(self) -> dict[str, object]:
        """Return it as ``--json`` prints it."""
        total, seconds = len(self.devices), self.seconds
        times = {"median": round(median(seconds), 3), "longest": seconds[-1]} if seconds else None
        return {
            "batch": self.batch, "devices": total, "passed": self.passed,
            "failed": total - self.passed, "yield": round(self.passed / total, 4),
            "first_pass_yield": round(self.first_pass / total, 4),
            "begun": self.begun.isoformat(), "ended": self.ended.isoformat(),
            "seconds": self.took.total_seconds(), "seconds_a_device": times,
            "failures": [
                {"error": error, "count": len(found), "serials": [d.serial_number for d in found],
                 "message": found[0].note}
                for error, found in self.causes.items()
            ],
        }  # fmt: skip

    def as_lines(self) -> list[str]:
        """Return it as a person reads it."""
        total, seconds = len(self.devices), self.seconds
        share = f"{self.passed} of {total} PASS ({self.passed / total:.1%})"
        lines = [
            f"Batch {self.batch}: {share}, {self.first_pass} at the first attempt",
            f"  {self.begun:%Y-%m-%d %H:%M:%S} to {self.ended:%Y-%m-%d %H:%M:%S} UTC ({self.took})",
        ]
        if seconds:
            lines.append(f"  a device: median {median(seconds):.3f} s, longest {seconds[-1]:.3f} s")
        for error, found in self.causes.items():
            named = ", ".join(each.serial_number for each in found[:3])
            more = f" and {len(found) - 3} more" if len(found) > 3 else ""
            lines += [f"  {len(found):>5} FAIL {error}: {named}{more}", f"        {found[0].note}"]
        return lines

    def as_junit(self) -> str:
        """Return it as JUnit's XML, which CI servers show."""
        total = len(self.devices)
        suite = ET.Element(
            "testsuite", name=self.batch, tests=str(total), failures=str(total - self.passed),
            errors="0", skipped="0", time=f"{self.took.total_seconds():.3f}",
            timestamp=self.begun.isoformat(),
        )  # fmt: skip
        for each in self.devices:
            case = ET.SubElement(
                suite, "testcase", classname=f"factory.{each.method}", name=each.serial_number,
                time=f"{each.seconds or 0:.3f}",
            )  # fmt: skip
            if each.result == "FAIL":
                words = "".join(c if c.isprintable() else " " for c in each.note)
                ET.SubElement(case, "failure", type=each.error, message=words)
        ET.indent(suite)
        return ET.tostring(suite, encoding="unicode", xml_declaration=True)


def report_of(
    entries: Sequence[Entry], batch: str, refused: Mapping[str, str] | None = None
) -> BatchReport:
    """Return the report of ``batch``; ``refused`` says why AWS registered some of it not.

    Raises:
        BatchUnknownError: the ledger has no such batch.
    """
    by_serial: dict[str, list[Entry]] = {}
    of_batch = [each for each in entries if each.batch == batch]
    for entry in of_batch:
        by_serial.setdefault(entry.serial_number, []).append(entry)
    if not of_batch:
        raise BATCH_UNKNOWN.error(batch=batch)
    devices = [_device(of_one, refused or {}) for of_one in by_serial.values()]
    times = [each.at for each in of_batch if each.result is not Result.RETIRED]
    return BatchReport(batch, devices, min(times), max(times))


def _device(entries: Sequence[Entry], refused: Mapping[str, str]) -> DeviceReport:
    made = [each for each in entries if each.result is Result.MADE]
    failed = [each for each in entries if each.result is Result.FAILED]
    serial_number, method = entries[0].serial_number, entries[0].method
    attempts = max(1, len(failed) + len(made))
    if made:
        return DeviceReport(
            serial_number, method, "PASS", attempts=attempts, seconds=made[-1].seconds
        )
    last = entries[-1]
    if last.result is Result.FAILED:
        error, note = last.error or "Failed", last.note
    else:
        error = "NotRegistered" if serial_number in refused else _NOT_FINISHED
        note = refused.get(serial_number, "the making was stopped; run the same command again")
    return DeviceReport(serial_number, method, "FAIL", error, note, attempts)
