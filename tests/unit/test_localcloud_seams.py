"""How many private names of MiniStack are touched: no more than ADR 17 counted."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
ADR = (ROOT / "docs/adr/0017-own-mqtt-session.md").read_text(encoding="utf-8")


def private_names() -> Iterator[tuple[str, bool]]:
    """Yield each name that goes through a Seam, and whether it is replaced there."""
    for file in (ROOT / "localcloud").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            match node:
                case ast.Subscript(slice=ast.Constant(value=str(name))) if name.startswith("_"):
                    yield name, isinstance(node.ctx, ast.Store)


def test_no_more_names_are_touched_than_were_counted() -> None:
    found = list(private_names())
    touched = {name for name, _is_replaced in found}
    replaced = {name for name, is_replaced in found if is_replaced}
    counted = re.search(r"^\| now \| \d+ \| (\d+) \| (\d+) \|", ADR, re.MULTILINE)
    assert counted is not None
    assert 50 < len(touched) <= int(counted[1])
    assert len(replaced) <= int(counted[2])
