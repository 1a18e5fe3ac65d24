"""The station's command line: one function a verb; the only place here that prints."""

import argparse
import json
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from device.errors import ExitCode, FirstbootError
from factory.account.accounts import aws_accounts
from factory.account.changes import Outcome, Report
from factory.account.cloud import Account
from factory.errors import StationNotPreparedError
from factory.methods import METHODS
from factory.methods.choices import choices_of
from factory.methods.prepared_account import forget_prepared, note_prepared
from factory.station.station import Station, open_or_make_station, open_station
from factory.verbs import bulk as bulk_verb
from factory.verbs import ca as ca_verb
from factory.verbs import claim as claim_verb
from factory.verbs import lint as lint_verb
from factory.verbs import make as make_verb
from factory.verbs import rewrap as rewrap_verb
from factory.verbs import single as single_verb
from factory.verbs.arguments import build_parser
from factory.verbs.report_text import report_fields, report_lines

_CHECK_MACHINE = "Correct that on this machine, then run the same command again."
_EMPTY = "an argument is empty; was a variable of the shell not set?"
_READ_HELP = "Correct it; factory VERB --help says what there is."
_RUN_AGAIN = "Run the same command again: it goes on where it stopped."
_SDK_LOGGERS = ("boto3", "botocore", "urllib3")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code (``device.errors.ExitCode``)."""
    arguments = _parsed(sys.argv[1:] if argv is None else list(argv))
    _log_to_stderr(arguments.log_level)
    try:
        arguments.verb(arguments)
    except FirstbootError as error:
        return _report(arguments, error, str(error), error.next_step)
    except OSError as error:
        problem = f"{error.filename or 'this machine'}: {error.strerror or error}"
        return _report(arguments, error, problem, _CHECK_MACHINE)
    except KeyboardInterrupt:
        _say("factory: stopped; the same command goes on where it stopped")
        if arguments.json:
            _put_error("Stopped", "stopped", _RUN_AGAIN, ExitCode.FAILED)
        return ExitCode.FAILED
    return ExitCode.DONE


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    return build_parser((ca, prepare, make, single, bulk, claim, rewrap, lint, teardown))


def _parsed(words: Sequence[str]) -> argparse.Namespace:
    """Return the arguments; with ``--json`` a misuse is told on stdout, too."""
    try:
        return _parsed_whole(words)
    except SystemExit as error:
        if error.code == ExitCode.MISUSE and "--json" in words:
            problem = "the command line cannot be used; stderr says why"
            _put_error("Misuse", problem, _READ_HELP, ExitCode.MISUSE)
        raise


def _parsed_whole(words: Sequence[str]) -> argparse.Namespace:
    given = parser().parse_args(words)
    if "" in words:
        parser().error(_EMPTY)
    return given


def _report(
    arguments: argparse.Namespace, error: BaseException, problem: str, next_step: str
) -> ExitCode:
    code = error.exit_code if isinstance(error, FirstbootError) else ExitCode.FAILED
    _say(f"factory: {problem}", f"  next: {next_step}")
    if arguments.json:
        _put_error(type(error).__name__, problem, next_step, code)
    return code


def _put_error(name: str, message: str, next_step: str, code: ExitCode) -> None:
    _put(error=name, message=message, next_step=next_step, exit_code=int(code))


def ca(arguments: argparse.Namespace) -> None:
    """Make or show the station's own certificate authorities."""
    ca_verb.run(arguments, _Terminal())


def prepare(arguments: argparse.Namespace) -> None:
    """Make the cloud side of a method; what is there and right stays as it is."""
    choices = choices_of(arguments)
    lint_verb.check_before_prepare(arguments.method, _Terminal())
    for cloud in aws_accounts(arguments.account, os.environ):
        with open_or_make_station(arguments.station) as station:
            report = METHODS[arguments.method].prepare(cloud, station, choices)
            note_prepared(station, arguments.method, cloud)
        _show(arguments, cloud.account, report)
        if not arguments.json:
            state = "Prepared." if report.is_change else "Nothing to change: all is prepared."
            _say(f"{state} Next: factory make --method {arguments.method} --serial SN-0001")


def make(arguments: argparse.Namespace) -> None:
    """Make a device: fuses, identity, credentials, lifecycle SECURED."""
    make_verb.run(arguments, _Terminal())


def single(arguments: argparse.Namespace) -> None:
    """Make one device and register it in AWS: by one call, or by hand."""
    single_verb.run(arguments, _Terminal())


def bulk(arguments: argparse.Namespace) -> None:
    """Make a batch of devices, registered by one task; resumes where it was stopped."""
    bulk_verb.run(arguments, _Terminal())


def claim(arguments: argparse.Namespace) -> None:
    """Hand a waiting device a claim for five minutes, as a trusted user's app does."""
    claim_verb.run(arguments, _Terminal())


def rewrap(arguments: argparse.Namespace) -> None:
    """Move a device's storage to another root of trust: all of it, or nothing."""
    rewrap_verb.run(arguments, _Terminal())


def lint(arguments: argparse.Namespace) -> None:
    """Look for what is wrong, or too wide, in policies and templates."""
    lint_verb.run(arguments, _Terminal())


def teardown(arguments: argparse.Namespace) -> None:
    """Remove from the cloud what prepare made, and nothing else."""
    methods = [METHODS[arguments.method]] if arguments.method else dict.fromkeys(METHODS.values())
    with ExitStack() as stack:
        station = _station_if_any(stack, arguments.station)
        for cloud in aws_accounts(arguments.account, os.environ):
            report = Report.of(
                method.teardown(cloud, station, devices=arguments.devices) for method in methods
            )
            if station is not None:
                forget_prepared(station, arguments.method, cloud)
            _show(arguments, cloud.account, report)
            if not arguments.json:
                _say(_farewell(report))


def _farewell(report: Report) -> str:
    last = {(change.kind, change.name): change.outcome for change in report.changes}
    kept = list(last.values()).count(Outcome.KEPT)
    left = f" {kept} kept: the reason is beside each." if kept else ""
    return ("Gone." if report.is_change else "Nothing to remove.") + left


def _station_if_any(stack: ExitStack, folder: Path) -> Station | None:
    try:
        return stack.enter_context(open_station(folder))
    except StationNotPreparedError:
        return None


def _show(arguments: argparse.Namespace, account: Account, report: Report) -> None:
    if arguments.json:
        _put(method=arguments.method, **report_fields(account, report))
    else:
        _say(*report_lines(account, report))


class _Terminal:
    """The `factory.verbs.console.Console` of a terminal."""

    def say(self, *lines: str) -> None:
        _say(*lines)

    def show(self, *lines: str) -> None:
        for line in lines:
            print(line)

    def put(self, **fields: object) -> None:
        _put(**fields)


def _put(**fields: object) -> None:
    print(json.dumps(fields))


def _say(*lines: str) -> None:
    for line in lines:
        print(line, file=sys.stderr)


def _log_to_stderr(level: str) -> None:
    logging.basicConfig(level=level.upper(), format="%(levelname)s %(name)s: %(message)s")
    # At DEBUG the SDK prints whole requests, and a session token is one of their headers.
    for name in _SDK_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
