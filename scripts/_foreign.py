"""Runs foreign clients against a local AWS of its own, and writes the table of what passed.

Those on PyPI are installed with the extra ``foreign``; the AWS CLI, and those on npm if Node.js is
there, are installed into a temporary folder. The table is in docs/foreign-clients.md.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tests.foreign.cases import Case
    from tests.foreign.place import Place

_PAGE: Final = Path(__file__).parents[1] / "docs" / "foreign-clients.md"
_TABLE: Final = re.compile(
    r"(?<=<!-- clients: written by scripts/foreign -->\n).*?(?=<!-- clients end -->)", re.S
)
_LONGEST_REASON: Final = 80

Outcomes = Mapping[str, Mapping[str, str]]
"""By client with its version, and step: ``pass`` or why not."""


def main(arguments: list[str]) -> int:
    """Run all; return 0 if all passed."""
    parser = argparse.ArgumentParser(prog="scripts/foreign", description=__doc__)
    parser.add_argument("--print", action="store_true", help="print the table and write nothing")
    options = parser.parse_args(arguments)
    outcomes = _outcomes()
    table = table_of(outcomes)
    if options.print:
        sys.stdout.write(table)
    else:
        page = _PAGE.read_text(encoding="utf-8")
        _PAGE.write_text(_TABLE.sub(lambda _old: table, page), encoding="utf-8")
    return int(any(said != "pass" for steps in outcomes.values() for said in steps.values()))


def table_of(outcomes: Outcomes) -> str:
    """Return the table; a client has not what it does not do here."""
    from tests.foreign.cases import STEPS  # noqa: PLC0415 - --help needs no client

    lines = [f"| client | {' | '.join(STEPS)} |", "|---" * (len(STEPS) + 1) + "|"]
    for client, steps in outcomes.items():
        lines.append(f"| {client} | {' | '.join(steps.get(step, '-') for step in STEPS)} |")
    return "\n".join(lines) + "\n"


def _outcomes() -> Outcomes:
    from localcloud.process.state_folder import StateFolder  # noqa: PLC0415
    from tests.foreign.place import prepare  # noqa: PLC0415
    from tests.wire.conftest import free_ports, running  # noqa: PLC0415

    outcomes: dict[str, dict[str, str]] = {}
    with tempfile.TemporaryDirectory(prefix="firstboot-foreign-") as name:
        folder = Path(name)
        with running(StateFolder(folder / "cloud"), free_ports()) as cloud:
            place = prepare(cloud, folder / "files")
            for client, case in _cases(folder):
                said = outcomes.setdefault(client, {})
                said[case.step] = _tried(case, place)
                print(f"{case}: {said[case.step]}", file=sys.stderr, flush=True)  # noqa: T201
    return outcomes


def _cases(folder: Path) -> Iterator[tuple[str, "Case"]]:
    from tests.foreign import aws_cli, node_clients  # noqa: PLC0415
    from tests.foreign.cases import CASES  # noqa: PLC0415

    for case in CASES:
        yield f"{case.client} {version(case.client)}", case
    for case in aws_cli.cases(_install_cli(folder / "cli", aws_cli.VERSION)):
        yield f"{case.client} {aws_cli.VERSION}", case
    if shutil.which("npm") is None:
        print("No npm here: the clients on npm are left out.", file=sys.stderr)  # noqa: T201
        return
    for case in node_clients.cases(install_node(folder / "npm", node_clients.PACKAGES)):
        yield f"{case.client} {node_clients.PACKAGES[case.client]} (npm)", case


def _install_cli(folder: Path, cli: str) -> Path:
    """Install the AWS CLI; it wants a botocore of its own."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)  # noqa: S603
    pip = [str(folder / "bin" / "pip"), "install", "--quiet", f"awscli=={cli}"]
    subprocess.run(pip, check=True)  # noqa: S603 - our own arguments
    return folder / "bin" / "aws"


def install_node(folder: Path, packages: Mapping[str, str]) -> Path:
    """Install ``packages``, each with its version, and return the folder with the modules."""
    names = [f"{name}@{number}" for name, number in packages.items()]
    npm = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder)]
    subprocess.run([*npm, *names], check=True)  # noqa: S603 - our own arguments
    return folder / "node_modules"


def _tried(case: "Case", place: "Place") -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # theirs are not ours to mend
            case.do(place)
    except Exception as error:  # noqa: BLE001 - whatever a foreign client raises is its outcome
        words = f"{type(error).__name__} {error}".strip().splitlines()[0]
        return f"FAIL: {words[:_LONGEST_REASON]}"
    return "pass"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
