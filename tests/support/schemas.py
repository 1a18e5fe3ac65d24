"""Checks lines of output against the published schemas, and knows what they leave out."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import jsonschema

from scripts.schemas import generate


def check_line(name: str, line: Mapping[str, Any]) -> None:
    """Check a line that ``name``, such as ``device-boot``, has printed.

    Raises:
        ValidationError: the schema does not allow it, or a property is not in the schema.
    """
    _validator(name).validate(line)


def kinds_of(name: str) -> list[Any]:
    """Return a validator for each kind of line that the schema ``name`` has."""
    schema = _validator(name).schema
    return [
        jsonschema.Draft202012Validator({"$defs": schema["$defs"], **kind})
        for kind in schema["anyOf"]
    ]


def is_error(kind: Any) -> bool:
    """Whether a kind of line is the error."""
    return name_of(kind) == "Error"


def name_of(kind: Any) -> str:
    """Return the name of a kind of line."""
    return str(kind.schema.get("$ref", "?")).rpartition("/")[2]


@cache
def _validator(name: str) -> Any:
    schema = generate.present(f"{name}.json")
    assert schema is not None, f"there is no docs/schemas/{name}.json"
    return jsonschema.Draft202012Validator(_closed(schema))


def _closed(schema: Any) -> Any:
    """Return ``schema`` so that it refuses properties that it does not name."""
    if isinstance(schema, dict):
        closed = {name: _closed(value) for name, value in schema.items()}
        if schema.get("type") == "object" and "properties" in schema:
            closed["additionalProperties"] = False
        return closed
    return [_closed(each) for each in schema] if isinstance(schema, list) else schema
