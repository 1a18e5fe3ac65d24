"""The checks in order, each bounded in time; one that fails does not stop the others."""

import threading
from collections.abc import Callable, Iterator
from typing import Final

from msgspec.structs import replace

from device.doctor import device_checks, mqtt_checks, network_checks
from device.doctor.case import Case
from device.doctor.finding import DiagnosedError, Finding, SkippedError, failed, skipped
from device.errors import FirstbootError
from device.errors.doctor import CHECK_UNFINISHED
from device.errors.text import foreign

Check = Callable[[Case], Finding]

CHECKS: Final[tuple[tuple[str, Check], ...]] = (
    ("storage", device_checks.storage),
    ("root of trust", device_checks.root_of_trust),
    ("key and certificate", device_checks.credential),
    ("expiry", device_checks.expiry),
    ("clock", device_checks.clock),
    ("settings", device_checks.settings),
    ("secure element", device_checks.secure_element),
    ("DNS", network_checks.dns),
    ("TCP", network_checks.tcp),
    ("proxy", network_checks.proxy),
    ("TLS", network_checks.tls),
    ("ALPN", network_checks.alpn),
    ("SNI", network_checks.sni),
    ("CONNECT", mqtt_checks.connect),
    ("subscribe", mqtt_checks.subscribe),
    ("publish", mqtt_checks.publish),
    ("client id", mqtt_checks.alone),
)
"""What is looked at, in the order in which a boot needs it."""


def examine(case: Case) -> Iterator[Finding]:
    """Make every check; close at the end what they opened."""
    try:
        for name, check in CHECKS:
            yield replace(_bounded(name, check, case), check=name)
    finally:
        case.close()


def _bounded(name: str, check: Check, case: Case) -> Finding:
    """Make one check in a thread of its own, which is left behind when its time is up."""
    found: list[Finding] = []
    thread = threading.Thread(
        target=lambda: found.append(_made(name, check, case)), name=name, daemon=True
    )
    thread.start()
    thread.join(case.limits.check)
    if found:
        return found[0]
    return _unfinished(case, name, f"no end after {case.limits.check:.0f} s")


def _made(name: str, check: Check, case: Case) -> Finding:
    try:
        return check(case)
    except SkippedError as why:
        return skipped(str(why))
    except DiagnosedError as found:
        return _noted(case, found.error, found.finding)
    except FirstbootError as error:
        return _noted(case, error, failed(error))
    except Exception as error:  # noqa: BLE001 - the other checks go on whatever one meets
        return _unfinished(case, name, foreign(f"{type(error).__name__}: {error}"))


def _unfinished(case: Case, name: str, problem: str) -> Finding:
    error = CHECK_UNFINISHED.error(problem, check=name)
    return _noted(case, error, failed(error))


def _noted(case: Case, error: FirstbootError, finding: Finding) -> Finding:
    """Remember the first error, which is what stops the device."""
    case.first_error = case.first_error or error
    return finding
