"""``advisor [OPTIONS] -- COMMAND``: run the cases against the client that COMMAND starts.

COMMAND is started anew for each case. In it {endpoint} (or {host} and {port}), {ca}, {certificate},
{key}, {client_id}, {thing}, {case}, {template} and {folder} are replaced; the same are ADVISOR_* in
its environment. The client should connect with TLS and its certificate, subscribe at QoS 1, publish
at QoS 1 every second or so, and keep trying until it is stopped.
"""

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from fnmatch import fnmatchcase
from functools import partial
from io import TextIOWrapper
from math import inf
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from advisor.case import Case, Given
    from advisor.run import Outcome

# Imports are in the functions, because scripts/advisor --help needs the standard library only.

_MISUSE: Final = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the advisor; return 0 if no case failed, 1 if one did, 2 for misuse."""
    if isinstance(sys.stdout, TextIOWrapper):  # of ASCII, or for a name that is not UTF-8
        sys.stdout.reconfigure(errors="backslashreplace")
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        cases, given = chosen(options.case), _given(options)
        _check(options)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return _MISUSE
    if options.list:
        for case in cases:
            print(f"{case.id:<53}  {case.title}")
        return 0
    if not options.command:
        parser.error("no command given; name the client after --")
    from advisor.case import Verdict  # noqa: PLC0415 - see above
    from advisor.report import summary  # noqa: PLC0415 - see above

    outcomes = _run(cases, given, options)
    _write(outcomes, options)
    print(summary(outcomes), file=sys.stderr)
    return int(any(outcome.finding.verdict is Verdict.FAIL for outcome in outcomes))


def _check(options: argparse.Namespace) -> None:
    """Raise before anything runs, unless the command can be started and reports can be written.

    Raises:
        OSError: the folder of the logs cannot be made.
        ValueError: what cannot be used, and why.
    """
    if options.command and "{" not in options.command[0] and which(options.command[0]) is None:
        raise ValueError(f"{options.command[0]} cannot be started: there is no such program")
    for name in ("jobs", "seconds", "soak"):
        if not 0 < getattr(options, name) < inf:
            raise ValueError(f"--{name} must be a number above 0")
    for path in filter(None, (options.junit, options.html)):
        if not path.parent.is_dir():
            raise ValueError(f"{path} cannot be written: {path.parent} is not a folder")
        if path.is_dir():
            raise ValueError(f"{path} cannot be written: it is a folder")
    if options.logs is not None:
        options.logs.mkdir(parents=True, exist_ok=True)


def chosen(patterns: Sequence[str]) -> "list[Case]":
    """Return the cases that ``patterns`` name, or all.

    Raises:
        ValueError: a pattern names none.
    """
    from advisor.cases import CASES  # noqa: PLC0415 - see above

    for pattern in patterns:
        if not any(fnmatchcase(case.id, pattern) for case in CASES):
            raise ValueError(f"no case is named {pattern}; see advisor --list")
    return [
        case
        for case in CASES
        if not patterns or any(fnmatchcase(case.id, pattern) for pattern in patterns)
    ]


def _run(cases: "Sequence[Case]", given: "Given", options: argparse.Namespace) -> "list[Outcome]":
    from advisor.client import command  # noqa: PLC0415 - see above
    from advisor.report import document, line  # noqa: PLC0415 - see above
    from advisor.run import run_all  # noqa: PLC0415 - see above

    start = command(options.command, options.logs)
    outcomes = []
    for outcome in run_all(cases, start, given, at_once=options.jobs):
        print(json.dumps(document(outcome)) if options.json else line(outcome), flush=True)
        outcomes.append(outcome)
    return outcomes


def _write(outcomes: "Sequence[Outcome]", options: argparse.Namespace) -> None:
    from advisor.report import junit, page  # noqa: PLC0415 - see above

    client = shlex.join(options.command)
    if options.junit is not None:
        options.junit.write_bytes(junit(outcomes, client))
    if options.html is not None:
        options.html.write_text(page(outcomes, client), encoding="utf-8")


def _given(options: argparse.Namespace) -> "Given":
    from advisor.case import Given  # noqa: PLC0415 - see above

    policies = tuple(_json(path.read_text(encoding="utf-8"), str(path)) for path in options.policy)
    return Given(
        thing_name=options.thing,
        policies=policies,
        desired=_json(options.desired, "--desired"),
        job=_json(options.job, "--job"),
        template=options.template,
        soak_seconds=options.soak,
        seconds=options.seconds,
    )


def _json(text: str, source: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"{source} is not JSON: {error}") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="advisor",
        usage="%(prog)s [OPTIONS] -- COMMAND [ARGUMENT ...]",
        description=__doc__,
        formatter_class=partial(argparse.HelpFormatter, width=80),
    )
    add = parser.add_argument
    add("--case", action="append", default=[], metavar="ID", help="run this case; * is allowed")
    add("--list", action="store_true", help="list the cases and run none")
    add("--jobs", type=int, default=4, help="cases that run at the same time; default: %(default)s")
    add(
        "--seconds",
        type=float,
        default=300.0,
        help="longest time of a case; default, as at AWS: %(default)s",
    )
    add("--soak", type=float, default=60.0, help="seconds of the long test; default: %(default)s")
    add("--thing", default="advisor", help="the client's thing name; default: %(default)s")
    add(
        "--desired",
        default='{"advisor": 1}',
        metavar="JSON",
        help="what the shadow desires of the client",
    )
    add("--job", default='{"operation": "advisor"}', metavar="JSON", help="the job document")
    add("--template", default="", help="the provisioning template, if the client uses one")
    add(
        "--policy",
        type=Path,
        action="append",
        default=[],
        help="a policy document of the certificate",
    )
    add("--json", action="store_true", help="print one JSON object a case")
    add("--junit", type=Path, help="write a JUnit file")
    add("--html", type=Path, help="write an HTML page")
    add("--logs", type=Path, metavar="FOLDER", help="keep the client's output, one file a case")
    add("command", nargs="*", help="the client's command line")
    return parser
