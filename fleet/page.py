"""The report as one HTML page: tables, and plots in SVG that nothing has to be loaded for."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

from fleet.report import Run, rates

_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 640, 220, 56, 28
_STYLE: Final = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;"
    "color:#222;background:#fff}table{border-collapse:collapse;margin:1rem 0}"
    "td,th{padding:.2rem .7rem;border-bottom:1px solid #ddd;text-align:right}"
    "td:first-child,th:first-child{text-align:left}svg{max-width:100%}"
    ".bad{color:#b00020}.good{color:#1b6e2c}"
)
Points = Sequence[tuple[float, float]]


def page_of(run: Run, document: Mapping[str, Any]) -> str:
    """Return the page."""
    order, devices = run.order, document["devices"]
    title = f"{order.devices:,} devices, {order.method}, {order.scenario}"
    verdict = (
        '<p class="good">Every device is proven and every invariant holds.</p>'
        if run.is_good
        else f'<p class="bad">{escape(_trouble(run, document))}</p>'
    )
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(title)}</title>",
        f"<style>{_STYLE}</style><h1>{escape(title)}</h1>", verdict,
        "<h2>Devices proven, by seconds</h2>",
        plot([(each.seconds, float(each.proven)) for each in run.moments], "devices"),
        "<h2>Calls to AWS a second</h2>", plot(rates(run.moments), "calls/s"),
        "<h2>Memory of the fleet, MiB</h2>",
        plot([(each.seconds, each.memory_kib / 1024) for each in run.moments], "MiB"),
        "<h2>Steps</h2>", _steps(document["steps"]),
        "<h2>Calls</h2>", _pairs(document["calls"]),
        "<h2>Waits before another try, by cause</h2>", _pairs(document["refusals"]),
        "<h2>Numbers</h2>",
        _pairs({**_flat("", devices), **_flat("memory.", document["memory"]),
                **_flat("local_aws.", document["local_aws"] or {}),
                **_flat("storm.", document["storm"] or {})}),
        "</html>",
    ]  # fmt: skip
    return "\n".join(parts) + "\n"


def plot(points: Points, unit: str) -> str:
    """Return a line through ``points`` as SVG, with the largest values at the axes."""
    if len(points) < 2:
        return "<p>Too short to plot.</p>"
    most_x = max(x for x, _ in points) or 1.0
    most_y = max(y for _, y in points) or 1.0
    wide, high = _WIDTH - _LEFT - 8, _HEIGHT - _BOTTOM - 12
    line = " ".join(
        f"{_LEFT + x / most_x * wide:.1f},{12 + high - y / most_y * high:.1f}" for x, y in points
    )
    base = 12 + high
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" role="img" '
        f'aria-label="{escape(unit)} over seconds" font-size="12" fill="#555">'
        f'<path d="M{_LEFT} 12V{base}H{_WIDTH - 8}" fill="none" stroke="#999"/>'
        f'<polyline points="{line}" fill="none" stroke="#1f6feb" stroke-width="1.5"/>'
        f'<text x="{_LEFT - 6}" y="20" text-anchor="end">{most_y:,.0f}</text>'
        f'<text x="{_LEFT - 6}" y="{base}" text-anchor="end">0</text>'
        f'<text x="{_WIDTH - 8}" y="{base + 18}" text-anchor="end">{most_x:,.1f} s</text>'
        f'<text x="{_LEFT + 6}" y="20">{escape(unit)}</text></svg>'
    )


def _trouble(run: Run, document: Mapping[str, Any]) -> str:
    words = [f"ended by: {run.ended_by}", f"unfinished: {document['devices']['unfinished']}"]
    words += [f"{each.invariant}: {each.detail}" for each in run.violations[:5]]
    return "; ".join(words)


def _steps(steps: Sequence[Mapping[str, Any]]) -> str:
    rows = "".join(
        f"<tr><td>{escape(each['step'])}<td>{each['count']:,}<td>{each['p50_ms']:,.1f}"
        f"<td>{each['p99_ms']:,.1f}<td>{each['max_ms']:,.1f}"
        for each in steps
    )
    head = "<tr><th>step, since the one before<th>count<th>p50 ms<th>p99 ms<th>max ms"
    return f"<table>{head}{rows}</table>"


def _pairs(values: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><td>{escape(str(name))}<td>{escape(str(value))}" for name, value in values.items()
    )
    return f"<table>{rows}</table>" if rows else "<p>None.</p>"


def _flat(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            found |= _flat(f"{prefix}{name}.", value)
        elif not isinstance(value, list):
            found[f"{prefix}{name}"] = value
    return found
