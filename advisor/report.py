"""The outcomes as a table, JSON, JUnit and HTML."""

import html
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from advisor.case import Verdict
from advisor.run import Outcome

_COLOURS: Final[Mapping[Verdict, str]] = {
    Verdict.PASS: "#2e7d32",
    Verdict.WARNINGS: "#b26a00",
    Verdict.FAIL: "#b71c1c",
    Verdict.NOT_RUN: "#616161",
}
_STYLE: Final = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%}"
    "th,td{border-bottom:1px solid #ddd;padding:.5rem;text-align:left;vertical-align:top}"
    "code{font-size:.9em}"
)


def line(outcome: Outcome) -> str:
    """Return one line of the table."""
    finding, case = outcome.finding, outcome.case
    return f"{finding.verdict.value:<18} {case.id:<53} {outcome.seconds:6.1f} s  {finding.seen}"


def summary(outcomes: Sequence[Outcome]) -> str:
    """Return how many cases ended in which way."""
    counts = Counter(outcome.finding.verdict for outcome in outcomes)
    said = [f"{counts[verdict]} {verdict.value}" for verdict in Verdict if counts[verdict]]
    return ", ".join(said) or "no case was run"


def document(outcome: Outcome) -> dict[str, Any]:
    """Return an outcome as JSON has it."""
    case = outcome.case
    return {
        "id": case.id,
        "title": case.title,
        "source": case.source,
        "done": case.done,
        "seen": outcome.finding.seen,
        "verdict": outcome.finding.verdict.value,
        "seconds": round(outcome.seconds, 3),
    }


def junit(outcomes: Sequence[Outcome], client: str) -> bytes:
    """Return the outcomes as a JUnit file; warnings are passes that say something."""
    counts = Counter(outcome.finding.verdict for outcome in outcomes)
    suite = ET.Element(
        "testsuite",
        name=f"advisor: {client}",
        tests=str(len(outcomes)),
        failures=str(counts[Verdict.FAIL]),
        skipped=str(counts[Verdict.NOT_RUN]),
        time=f"{sum(outcome.seconds for outcome in outcomes):.3f}",
    )
    for outcome in outcomes:
        suite.append(_junit_case(outcome))
    return bytes(ET.tostring(suite, encoding="utf-8", xml_declaration=True))


def _junit_case(outcome: Outcome) -> ET.Element:
    case, finding = outcome.case, outcome.finding
    element = ET.Element(
        "testcase", name=case.id, classname="advisor", time=f"{outcome.seconds:.3f}"
    )
    if finding.verdict is Verdict.FAIL:
        ET.SubElement(element, "failure", message=_printable(finding.seen)).text = case.done
    elif finding.verdict is Verdict.NOT_RUN:
        ET.SubElement(element, "skipped", message=finding.seen)
    said = f"{finding.verdict.value}: {_printable(finding.seen)}"
    ET.SubElement(element, "system-out").text = said
    return element


def _printable(text: str) -> str:
    """Return ``text`` without what XML cannot hold; a client may have sent it."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def page(outcomes: Sequence[Outcome], client: str) -> str:
    """Return the outcomes as an HTML page of its own."""
    rows = "\n".join(_row(outcome) for outcome in outcomes)
    heads = "".join(f"<th>{head}" for head in ("Case", "What was done", "What was seen", "Verdict"))
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Advisor</title>'
        f"<style>{_STYLE}</style><h1>Advisor</h1><p>Client: <code>{html.escape(client)}</code>"
        f"<p>{summary(outcomes)}<table><tr>{heads}\n{rows}\n</table></html>\n"
    )


def _row(outcome: Outcome) -> str:
    case, finding = outcome.case, outcome.finding
    name = f"<b>{html.escape(case.id)}</b><br>{html.escape(case.title)}"
    if case.source.startswith("https://"):
        name += f' (<a href="{html.escape(case.source)}">AWS</a>)'
    verdict = f'<td style="color:{_COLOURS[finding.verdict]}"><b>{finding.verdict.value}</b>'
    cells = (name, html.escape(case.done), html.escape(finding.seen))
    return f"<tr>{''.join(f'<td>{cell}' for cell in cells)}{verdict}"
