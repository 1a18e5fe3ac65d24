"""``device doctor``: why a device does not work, check by check; it changes nothing."""

import argparse
import os
from typing import Final

from msgspec import to_builtins

from device.doctor.finding import Finding, Result
from device.verbs import Console
from device.verbs._options import add_config, config_if_any, state_of

SUMMARY: Final = "Check the device from its storage to a publish, and name what is wrong."
_MARKS: Final = {
    Result.OK: "ok",
    Result.WARNING: "WARNING",
    Result.FAILED: "FAILED",
    Result.SKIPPED: "skipped",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``device doctor``."""
    add_config(parser)
    parser.add_argument(
        "--endpoint", metavar="HOST:PORT", help="AWS IoT endpoint; overrides the settings"
    )
    parser.add_argument(
        "--root-ca", metavar="FILE", help="CA certificates to trust; overrides the settings"
    )
    parser.add_argument("--offline", action="store_true", help="leave out what needs the network")
    parser.add_argument(
        "--subscribe",
        metavar="FILTER",
        action="append",
        default=[],
        help="also subscribe to this topic filter",
    )
    parser.add_argument(
        "--publish", metavar="TOPIC", help="publish on this topic instead of the telemetry topic"
    )


def run(options: argparse.Namespace, console: Console) -> None:
    """Show each check as it ends, then what stops the device.

    Raises:
        FirstbootError: a check failed; the error and its exit code are those of the first one.
    """
    from device.connection.awscrt_session import AwscrtSession  # noqa: PLC0415
    from device.doctor.case import Case, Questions  # noqa: PLC0415 - loads awscrt
    from device.doctor.examination import examine  # noqa: PLC0415
    from device.runtime import log  # noqa: PLC0415
    from device.runtime.clock import SystemClock  # noqa: PLC0415

    log.set_up("error")
    asked = Questions(
        state=state_of(options),
        config=config_if_any(options),
        environment=os.environ,
        flags={"endpoint": options.endpoint, "root_ca": options.root_ca},
        subscribe=tuple(options.subscribe),
        publish=options.publish,
        offline=options.offline,
    )
    case = Case(asked, SystemClock(), AwscrtSession)
    for finding in examine(case):
        console.show(to_builtins(finding), *lines_of(finding))
    if case.first_error is not None:
        raise case.first_error


def lines_of(finding: Finding) -> list[str]:
    """Return what people read of a check."""
    lines = [f"{_MARKS[finding.result]:<8} {finding.check:<20} {finding.evidence}"]
    if finding.result in {Result.OK, Result.SKIPPED}:
        return lines
    lines.append(f"{'':<8} cause: {finding.cause} [{finding.code}]")
    lines += [f"{'':<8} or: {each}" for each in finding.suspects]
    return [*lines, f"{'':<8} next: {finding.next_step}"]
