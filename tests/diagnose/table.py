"""The tables of docs/diagnose.md: what is planted, and the line that names it.

``python -m tests.diagnose.table`` plants everything and writes them again, in a minute; the tests
beside it compare the page with what they see.
"""

import re
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from device.doctor.finding import Finding
from factory.diagnosis.reason import Reason
from localcloud.process.state_folder import StateFolder
from tests.diagnose.account import AccountCause, Plant
from tests.diagnose.account_causes import ACCOUNT_CAUSES
from tests.diagnose.bench import Bench, Cause, bad
from tests.diagnose.device_causes import DEVICE_CAUSES
from tests.diagnose.foreign_causes import FOREIGN_CAUSES, ForeignCause
from tests.support.production_line import ProductionLine, prepared_line
from tests.wire.conftest import LocalCloud, free_ports, running

AGAIN: Final = "docs/diagnose.md says otherwise; python -m tests.diagnose.table writes it again"
PAGE: Final = Path(__file__).parents[2] / "docs" / "diagnose.md"
PREPARED, PLAIN, FOREIGN = "346987654321", "336987654321", "396987654321"
"""The accounts that the causes are planted in; a station has prepared the first."""
_CHANGING: Final = (
    (re.compile(r"(localhost|127\.0\.0\.1):[2-9]\d{3,4}"), "ENDPOINT"),
    (re.compile(r"/[^ ]*/settings\.yaml"), "settings.yaml"),
    (re.compile(r"/[^ ]*/(nothing|config/[a-z.-]+)"), r"\1"),
    (re.compile(r"DX-\d+"), "SN"),
    (re.compile(r"\b\d{12}\b"), "ACCOUNT"),
    (re.compile(r"\b[0-9a-f]{14}-ats"), "PREFIX-ats"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "ID"),
    (re.compile(r" since \d{4}-\d\d-\d\d[T ][0-9:.]+(Z|\+00:00)?"), ""),
    (re.compile(r"\d{4}-\d\d-\d\d[T ][0-9:.]+(Z|\+00:00)?"), "TIME"),
)
"""What differs from run to run."""


def _steady(line: str) -> str:
    for pattern, word in _CHANGING:
        line = pattern.sub(word, line)
    return line.replace("|", "\\|")


def device_row(cause: Cause, found: list[Finding]) -> str:
    """Return the row of what doctor says: how manieth it names the cause, and its line."""
    place, named = next(
        (place, each)
        for place, each in enumerate(found, 1)
        if each.check == cause.check and each.code.startswith(cause.code)
    )
    return f"| {cause.name} | {place} | {named.check}: {_steady(named.cause)} | {named.code} |"


def account_row(cause: AccountCause, found: list[Reason]) -> str:
    """Return the row of what explain says."""
    place, named = next((n, each) for n, each in enumerate(found, 1) if each.code == cause.code)
    line = f"{named.reason}: {_steady(named.evidence)}"
    return f"| {cause.name} | {place} | {line} | {named.code} |"


def foreign_row(cause: ForeignCause, found: list[Reason]) -> str:
    """Return the row of a client that others wrote."""
    place, named = next((n, each) for n, each in enumerate(found, 1) if each.code == cause.code)
    words = cause.watched or "the reason code"
    line = f"{named.reason}: {_steady(named.evidence)}"
    return f"| {cause.name} | {cause.client} | `{words}` | {place} | {line} | {named.code} |"


def _device_rows(folder: Path) -> Iterator[str]:
    for number, cause in enumerate(DEVICE_CAUSES):
        place = folder / str(number)
        place.mkdir()
        with Bench(place) as bench:
            yield device_row(cause, bad(cause.plant(bench).examined()))


def _account_rows(cloud: LocalCloud, folder: Path) -> Iterator[str]:
    plain = ProductionLine(cloud, PLAIN, folder, "claim")
    with prepared(cloud, folder) as line:
        for cause in ACCOUNT_CAUSES:
            with ExitStack() as undo:
                plant = Plant(line if cause.is_prepared else plain, undo)
                yield account_row(cause, plant.explained(cause.plant(plant)).reasons)


@contextmanager
def prepared(cloud: LocalCloud, folder: Path) -> Iterator[ProductionLine]:
    """Prepare jitr, and claim with its hook, in an account of their own."""
    with prepared_line(cloud, PREPARED, folder, "jitr") as line:
        hooked = line.run("prepare", "--method", "claim", "--hook")
        assert hooked.code == 0, hooked.err
        yield line


def _foreign_rows(cloud: LocalCloud, folder: Path) -> Iterator[str]:
    line = ProductionLine(cloud, FOREIGN, folder, "claim")
    for cause in FOREIGN_CAUSES:
        with ExitStack() as undo:
            plant = Plant(line, undo, sees_the_wire=True)
            yield foreign_row(cause, plant.explained(cause.plant(plant)).reasons)


def written(page: str, name: str, rows: Iterator[str]) -> str:
    """Return ``page`` with the rows of the table ``name`` written again."""
    found = re.compile(rf"(?<=<!-- {name} -->\n\n)(\|.*\n\|.*\n)(?:\|.*\n)*")
    body = "".join(f"{each}\n" for each in rows)
    return found.sub(lambda head: f"{head[1]}{body}", page)


def _write() -> None:
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as temporary:
        root, page = Path(temporary), PAGE.read_text()
        page = written(page, "device", _device_rows(root))
        with running(StateFolder(root / "cloud"), free_ports()) as cloud:
            tables: tuple[tuple[str, Callable[[LocalCloud, Path], Iterator[str]]], ...] = (
                ("account", _account_rows), ("foreign", _foreign_rows),
            )  # fmt: skip
            for name, rows in tables:
                (root / name).mkdir()
                page = written(page, name, rows(cloud, root / name))
    PAGE.write_text(page)


if __name__ == "__main__":
    _write()
