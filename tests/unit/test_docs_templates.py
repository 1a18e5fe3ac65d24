"""Does docs/templates.md explain each field of each template, each policy, and nothing else?"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "docs" / "templates.md").read_text(encoding="utf-8")
TEMPLATES: Final = {
    path.stem.removeprefix("firstboot-"): json.loads(path.read_text(encoding="utf-8"))
    for path in (ROOT / "config" / "templates").glob("*.json")
}


def rows(chapter: str) -> Iterator[tuple[str, str]]:
    """Yield the first two columns of the table of a chapter, row by row."""
    text = PAGE.partition(f"### {chapter}\n")[2].partition("\n#")[0]
    for line in text.splitlines():
        if line.startswith("| `"):
            _, field, where, *_ = line.split("|")
            yield field.strip().strip("`"), where.strip()


def templates_of(words: str) -> set[str]:
    """Return the templates that ``all``, ``all but renewal`` or a list of names stands for."""
    if not words.startswith("all"):
        return set(words.split(", "))
    return set(TEMPLATES) - {words.removeprefix("all").removeprefix(" but ")}


def explained(chapter: str) -> set[tuple[str, str]]:
    return {(field, name) for field, where in rows(chapter) for name in templates_of(where)}


def test_each_parameter_is_explained() -> None:
    used = {(name, template) for template, body in TEMPLATES.items() for name in body["Parameters"]}
    assert explained("Parameters") == used


def test_each_field_of_a_resource_is_explained() -> None:
    used = {
        (f"{name}.{field}", template)
        for template, body in TEMPLATES.items()
        for name, resource in body["Resources"].items()
        for field in fields_of(resource)
    }
    assert explained("Resources") == used


def fields_of(resource: Mapping[str, Any]) -> Iterator[str]:
    for name, value in resource.items():
        if isinstance(value, dict):
            yield from (f"{name}.{each}" for each in value)
        else:
            yield name


def test_each_policy_of_a_method_is_named() -> None:
    """Those of renewal and recovery are on docs/renewal.md, and bulk's is one right of a role."""
    chapter = PAGE.partition("## Policies")[2]
    named = set(re.findall(r"`(firstboot-[a-z-]+)`", chapter))
    assert {
        "firstboot-device",
        "firstboot-claim",
        "firstboot-claim-own-ca",
        "firstboot-app",
    } <= named
    assert all((ROOT / "config" / "policies" / f"{each}.json").is_file() for each in named)
