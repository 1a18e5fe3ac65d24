"""The entries of docs/errors.md: every row of the three catalogues of errors."""

import re
from collections.abc import Iterator
from typing import Final

from device.errors import Row
from device.errors.catalogue import CATALOGUE as DEVICE_ROWS
from device.errors.catalogue import in_general
from factory.errors.catalogue import OWN as STATION_ROWS
from localcloud.errors import CATALOGUE as LOCAL_ROWS
from localcloud.errors import Row as LocalRow

_ENTRIES: Final = re.compile(r"(?<=^<!-- errors -->\n).*(?=^<!-- end of errors -->$)", re.M | re.S)
_CHAPTERS: Final = {
    "FB-0": "The command line and the settings",
    "FB-1": "The device's storage",
    "FB-2": "The root of trust",
    "FB-3": "The secure element",
    "FB-4": "The device and AWS IoT",
    "FB-5": "The station",
    "FB-6": "The AWS account",
    "FB-7": "Making devices: orders, batches, claims, checks, manifests",
    "FB-8": "Why AWS IoT refuses a device, and what an audit finds",
    "FB-9": "The local AWS",
}
_HEAD: Final = "| code | what happened | exit |\n|---|---|---|\n"


def with_errors(document: str) -> str:
    """Return ``document`` with the table and the entries of all codes written again."""
    return _ENTRIES.sub(lambda _: "\n" + "".join(_parts()), document)


def _parts() -> Iterator[str]:
    rows: list[Row | LocalRow] = [
        *DEVICE_ROWS.values(), *STATION_ROWS.values(), *LOCAL_ROWS.values(),
    ]  # fmt: skip
    yield _HEAD
    for row in rows:
        yield f"| [{row.code}](#{row.code.lower()}) | {row.title} | {int(row.exit_code)} |\n"
    for prefix, title in _CHAPTERS.items():
        yield f"\n## {title}\n"
        yield from (_entry(row) for row in rows if row.code.startswith(prefix))


def _entry(row: Row | LocalRow) -> str:
    causes = "".join(f"- {cause}\n" for cause in row.causes)
    return (
        f"\n### {row.code}\n\n**{row.title}** (`{row.name}`, exit code {int(row.exit_code)})\n\n"
        f"{row.means}\n\nUsual causes:\n\n{causes}\n"
        f"Next step: {in_general(row.next_step)}\n\n{_reproduced(row)}"
    )


def _reproduced(row: Row | LocalRow) -> str:
    if row.needs:
        return f"To see it you need {row.needs}.\n"
    lines = "".join(f"{line}\n" for line in row.commands)
    return f"```sh\n{lines}```\n"
