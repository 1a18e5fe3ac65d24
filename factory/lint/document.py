"""A JSON document to be looked at, and ways through it that remember where they are."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from device.config.regular_file import read_regular_file
from device.errors import ConfigurationError
from factory.account.documents import parse_json

Json = str | int | float | bool | None | list["Json"] | Mapping[str, "Json"]

_PLACEHOLDERS: Final = {"partition": "aws", "region": "eu-central-1", "account": "123456789012"}
"""What stands for ``@region`` and the like while a file of config/ is looked at."""


_DATA_PLANE: Final = re.compile(
    r":(client|topic|topicfilter)/|iot:(Connect|Publish|Receive|RetainPublish|Subscribe)\b",
    re.IGNORECASE,
)
"""What only a policy in AWS IoT is about; one in IAM has other actions and resources."""
_LOGS: Final = re.compile(r"\blogs:\w")
"""What the role of a Lambda is allowed, and no device: also where it may publish."""


class Kind(StrEnum):
    """What a document is for."""

    IOT_POLICY = "IoT policy"
    IAM_POLICY = "IAM policy"
    TRUST_POLICY = "trust policy"
    TEMPLATE = "provisioning template"
    REQUEST = "request for a provisioning template"
    UNKNOWN = "neither a policy nor a template"


@dataclass(frozen=True)
class Document:
    """A document, or a part of one that is a document of its own."""

    file: str
    content: Json
    kind: Kind
    path: str = "$"
    """Where it is in its file."""


def load_document(file: Path, placeholders: Mapping[str, str] = _PLACEHOLDERS) -> Document:
    """Return the document in ``file``, with ``placeholders`` in the place of ``@region`` etc.

    Raises:
        ConfigurationError: it cannot be read, or is not JSON.
    """
    content = read_regular_file(file)
    try:
        parsed = parse_json(_filled(content.decode("utf-8-sig"), placeholders))
    except ConfigurationError as error:
        problem = f"cannot be read as JSON: {error.problem}"
        raise ConfigurationError(str(file), "", problem) from error
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(str(file), "", f"cannot be read as JSON: {error}") from error
    return Document(str(file), parsed, kind_of(parsed))


def kind_of(content: Json) -> Kind:
    """Tell what a document is, from what is in it."""
    if not isinstance(content, Mapping):
        return Kind.UNKNOWN
    if "templateBody" in content:
        return Kind.REQUEST
    if "Resources" in content:
        return Kind.TEMPLATE
    if "Statement" not in content:
        return Kind.UNKNOWN
    statements = list(elements(content["Statement"], "$.Statement"))
    if any(isinstance(each, Mapping) and "Principal" in each for _, each in statements):
        return Kind.TRUST_POLICY
    words = " ".join(text for _, text in strings(content["Statement"], "$"))
    if _LOGS.search(words):
        return Kind.IAM_POLICY
    return Kind.IOT_POLICY if _DATA_PLANE.search(words) else Kind.IAM_POLICY


def elements(value: Json, path: str) -> Iterator[tuple[str, Json]]:
    """Yield what is listed; one thing alone counts as a list of one, as in AWS's policies."""
    if isinstance(value, list):
        for index, each in enumerate(value):
            yield f"{path}[{index}]", each
    elif value is not None:
        yield path, value


def members(value: Json, path: str) -> Iterator[tuple[str, str, Json]]:
    """Yield name, path and value of each member; none if it is not an object."""
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield name, f"{path}.{name}", each


def strings(value: Json, path: str) -> Iterator[tuple[str, str]]:
    """Yield every text in ``value``, at any depth, keys left out."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for _, inner, each in members(value, path):
            yield from strings(each, inner)
    elif isinstance(value, list):
        for inner, each in elements(value, path):
            yield from strings(each, inner)


def member(value: Json, name: str) -> Json:
    """Return a member of an object; None if it is not there."""
    return value.get(name) if isinstance(value, Mapping) else None


def length(value: Json) -> int:
    """Return how many characters AWS counts: without white space."""
    return len(json.dumps(value, separators=(",", ":"), ensure_ascii=False))


def _filled(text: str, placeholders: Mapping[str, str]) -> str:
    return re.sub(r"@(\w+)", lambda found: placeholders.get(found[1], found[0]), text)
