"""The JSON Schemas of the output: there is one for every verb, and none breaks its readers."""

import copy
import json
from collections.abc import Callable
from pkgutil import iter_modules
from typing import Any, Final

import jsonschema
import pytest

import device.verbs
import factory.verbs
import localcloud.verbs
from scripts.schemas import generate

SCHEMAS: Final = generate.schemas()
COMMANDS: Final = {
    "device": device.verbs.__path__,
    "factory": factory.verbs.__path__,
    "localcloud": localcloud.verbs.__path__,
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_verb_has_a_schema_and_every_schema_a_verb(command: str) -> None:
    names = [each.name.replace("_", "-") for each in iter_modules(COMMANDS[command])]
    verbs = {f"{command}-{name}.json" for name in names if not name.startswith("-")}
    found = {name for name in SCHEMAS if name.startswith(f"{command}-")}
    assert found == verbs, f"add a type a line to scripts/schemas/{command}_lines.py"


@pytest.mark.parametrize("name", SCHEMAS)
def test_it_is_a_schema_of_draft_2020_12_and_knows_errors(name: str) -> None:
    schema = generate.present(name)
    assert schema is not None, "run scripts/docs"
    assert schema["$schema"] == generate.DRAFT
    jsonschema.Draft202012Validator.check_schema(schema)
    error = {"error": "X", "code": "FB-001", "message": "m", "next_step": "n", "exit_code": 1}
    jsonschema.Draft202012Validator(schema).validate(error)


@pytest.mark.parametrize("name", SCHEMAS)
def test_what_the_types_say_breaks_no_reader_of_what_is_committed(name: str) -> None:
    committed = generate.present(name)
    assert committed is not None, "run scripts/docs"
    assert list(generate.breaks(committed, SCHEMAS[name])) == []


def test_the_committed_schemas_are_those_of_the_types() -> None:
    assert generate.stale() == [], "run scripts/docs"


Change = Callable[[dict[str, Any]], object]
MADE: Final = SCHEMAS["factory-make.json"]


def made(schema: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = schema["$defs"]["Made"]
    return found


BREAKING: Final[dict[str, Change]] = {
    "a property is removed": lambda s: made(s)["properties"].pop("retired"),
    "a property is renamed": lambda s: made(s)["properties"].update(
        number=made(s)["properties"].pop("serial")
    ),
    "a property is retyped": lambda s: made(s)["properties"]["serial"].update(type="integer"),
    "a property may be null": lambda s: made(s)["properties"].update(
        serial={"anyOf": [{"type": "string"}, {"type": "null"}]}
    ),
    "a property is not always there": lambda s: made(s)["required"].remove("serial"),
    "nothing is always there": lambda s: made(s).pop("required"),
    "an outcome is removed": lambda s: s["$defs"]["Outcome"]["enum"].remove("kept"),
    "a kind of line is removed": lambda s: s["anyOf"].pop(),
    "a type is removed": lambda s: s["$defs"].pop("Resource"),
}
HARMLESS: Final[dict[str, Change]] = {
    "a property is added": lambda s: made(s)["properties"].update(colour={"type": "string"}),
    "it is always there": lambda s: made(s)["required"].append("retired"),
    "a kind of line is added": lambda s: s["anyOf"].append({"type": "string"}),
    "an outcome is added": lambda s: s["$defs"]["Outcome"]["enum"].append("mended"),
    "words are changed": lambda s: made(s).update(description="Another sentence."),
}


def changed(change: Change) -> dict[str, Any]:
    schema = copy.deepcopy(MADE)
    change(schema)
    assert schema != MADE
    return schema


@pytest.mark.parametrize("change", BREAKING.values(), ids=BREAKING)
def test_a_change_that_breaks_readers_is_found(change: Change) -> None:
    assert list(generate.breaks(MADE, changed(change))) != []


@pytest.mark.parametrize("change", HARMLESS.values(), ids=HARMLESS)
def test_an_addition_is_none(change: Change) -> None:
    assert list(generate.breaks(MADE, changed(change))) == []


def test_a_property_may_be_called_as_a_keyword_is() -> None:
    old = {"properties": {"description": {"type": "string"}}}
    assert list(generate.breaks(old, {"properties": {}})) == ["/properties/description is gone"]


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_reader_may_meet_properties_that_it_does_not_know(name: str) -> None:
    assert '"additionalProperties": false' not in json.dumps(SCHEMAS[name])
