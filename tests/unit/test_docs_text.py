"""The documents are current where they are generated, plain ASCII, and no link leads nowhere."""

import re
from pathlib import Path

import pytest

from scripts._docs import GENERATED
from scripts._machine_diagrams import CHARTS, Chart

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", GENERATED, ids=name)
def test_what_is_generated_is_current(path: Path) -> None:
    present = path.read_text(encoding="utf-8")
    assert GENERATED[path](present) == present, "run scripts/docs"


@pytest.mark.parametrize("path", GENERATED, ids=name)
def test_a_stale_document_is_seen(path: Path) -> None:
    """Else the test above would pass on a document whose marks were renamed."""
    ours = r"^(stateDiagram-v2|usage: .*|\| `method` .*|\| event \|.*|### FB-110)$"
    stale = re.sub(ours, "stale", path.read_text(), flags=re.MULTILINE)
    assert GENERATED[path](stale) != stale


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: str(chart.name))
def test_each_machine_has_its_chart(chart: Chart) -> None:
    machines = (ROOT / "docs" / "machines.md").read_text()
    part = machines.partition(f"<!-- {chart.name}: by")[2].partition(f"<!-- {chart.name}: end")[0]
    shown = [state for state in chart.table if state.name != "FAILED"]  # a column, not a box
    assert [state for state in shown if state.value not in part] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_every_link_leads_somewhere(path: Path) -> None:
    links = [link for link in LINK.findall(path.read_text()) if "://" not in link]
    assert [link for link in links if not (path.parent / link).exists()] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_it_is_plain_ascii(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [(number, line) for number, line in enumerate(lines, 1) if not line.isascii()] == []


def test_decisions_are_numbered_once() -> None:
    numbers = [path.name[:4] for path in (ROOT / "docs" / "adr").glob("*.md")]
    assert len(set(numbers)) == len(numbers) > 5


@pytest.mark.parametrize(("document", "lines"), [("CONTRIBUTING.md", 60), ("docs/claim.md", 170)])
def test_it_is_short(document: str, lines: int) -> None:
    assert len((ROOT / document).read_text().splitlines()) < lines
