"""Makes docs/schemas from the types, and refuses what would break a reader of the output.

A schema is of draft 2020-12 and describes one line. Readers ignore properties that they do not
know; so within a major version properties may come, and none may go or change its type.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from scripts.schemas import demo_lines, device_lines, factory_lines, localcloud_lines

Schema = dict[str, Any]

FOLDER: Final = Path(__file__).resolve().parents[2] / "docs" / "schemas"
DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
LINES: Final[Mapping[str, tuple[Any, ...]]] = {
    **{f"device-{verb}": lines for verb, lines in device_lines.LINES.items()},
    **{f"factory-{verb}": lines for verb, lines in factory_lines.LINES.items()},
    **{f"localcloud-{verb}": lines for verb, lines in localcloud_lines.LINES.items()},
    **{f"scripts-{name}": lines for name, lines in demo_lines.LINES.items()},
    "error": (),
}
"""The types of each verb's lines, by the name of its schema."""


def schemas() -> dict[str, Schema]:
    """Return every schema, by the name of its file."""
    return {f"{name}.json": _schema(name, lines) for name, lines in LINES.items()}


def written(schema: Schema) -> str:
    """Return a schema as its file holds it."""
    return json.dumps(schema, indent=2) + "\n"


def present(name: str) -> Schema | None:
    """Return the schema that is committed; None if there is none yet."""
    try:
        found: Schema = json.loads((FOLDER / name).read_bytes())
    except FileNotFoundError:
        return None
    return found


def _schema(name: str, lines: tuple[Any, ...]) -> Schema:
    types = [*lines, device_lines.Error]
    listed, definitions = msgspec.json.schema_components(types, ref_template="#/$defs/{name}")
    command, _, verb = name.partition("-")
    command = {"scripts": f"scripts/{verb}"}.get(command, f"{command} {verb}".strip())
    title = "Any error" if name == "error" else f"A line of {command} --json"
    defined = {each: _open(found) for each, found in sorted(definitions.items())}
    for fault in (each for each in defined.values() if "kind" in each.get("properties", {})):
        if name == "localcloud-fault":
            _number(fault)
    return {
        "$schema": DRAFT, "title": title, "anyOf": [*map(_open, listed)], "$defs": defined,
    }  # fmt: skip


def _open(schema: Any) -> Any:
    """Return ``schema`` without what would forbid properties that are not known yet."""
    if isinstance(schema, dict):
        return {
            name: _open(value)
            for name, value in schema.items()
            if (name, value) != ("additionalProperties", False)
        }
    return [_open(each) for each in schema] if isinstance(schema, list) else schema


def _number(fault: Schema) -> None:
    """Add what the list of faults says of each besides its own fields."""
    number = {"type": "integer", "minimum": 1}
    fault["properties"] |= {"id": number, "remaining": {"anyOf": [number, {"type": "null"}]}}
    fault["required"] = sorted({*fault.get("required", []), "id", "remaining"})


def breaks(old: Any, new: Any, at: str = "") -> Iterator[str]:
    """Yield what a reader who knows the schema ``old`` would not understand of ``new``."""
    if isinstance(old, dict) and isinstance(new, dict):
        yield from _missing(old, new, at)
        for name in old.keys() & new.keys() - ({"required"} | _words(at)):
            yield from breaks(old[name], new[name], f"{at}/{name}")
    elif isinstance(old, list) and isinstance(new, list):
        gone = [each for each in old if each not in new]
        yield from (f"{at}: {json.dumps(each)} is gone, or another" for each in gone)
    elif old != new:
        yield f"{at}: {json.dumps(old)} became {json.dumps(new)}"


def _missing(old: Schema, new: Schema, at: str) -> Iterator[str]:
    yield from (f"{at}/{name} is gone" for name in old.keys() - new.keys() - _words(at))
    lost = {*_required(old)} - {*_required(new)}
    yield from (f"{at}/properties/{name} is not always there any more" for name in sorted(lost))


def _words(at: str) -> set[str]:
    """Return the keywords for people, where the names of ``at`` are keywords."""
    return set() if at.endswith(("/properties", "/$defs")) else {"description", "title"}


def _required(schema: Schema) -> list[str]:
    required = schema.get("required", [])
    return required if isinstance(required, list) else []


def write() -> list[str]:
    """Write the schemas; return what is not written, since it would break a reader."""
    refused = []
    FOLDER.mkdir(exist_ok=True)
    for name, schema in schemas().items():
        old = present(name)
        found = [] if old is None else list(breaks(old, schema))
        if found:
            refused += [f"docs/schemas/{name}{each}" for each in found]
        else:
            (FOLDER / name).write_text(written(schema), encoding="utf-8")
    return refused


def stale() -> list[str]:
    """Return the names of the files that are not what the types say."""
    wanted = {name: written(schema) for name, schema in schemas().items()}
    found = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}
    return sorted(name for name in wanted.keys() | found if wanted.get(name) != found.get(name))
