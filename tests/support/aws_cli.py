"""The few words of the AWS CLI that the pages use: ``aws iot delete-thing --thing-name T``.

Names of options and their values are those of the CLI, which takes them from botocore's models as
this does. The CLI itself takes half a second to start, and is not installed for the tests.
"""

import json
import sys
from pathlib import Path
from typing import Any, Final

import boto3
import jmespath  # type: ignore[import-untyped]  # it has no types
from botocore import xform_name
from botocore.exceptions import ClientError

_OUTFILES: Final = {
    "certificate-pem-outfile": "certificatePem",
    "private-key-outfile": "keyPair.PrivateKey",
}


def main() -> int:
    """Make one call; print its answer, or what ``--query`` takes from it as text."""
    _, service, operation, *words = sys.argv
    options = _options(words)
    files = {name: options.pop(name) for name in _OUTFILES if name in options}
    query, _ = options.pop("query", "@"), options.pop("output", "text")
    client = boto3.client("s3" if service == "s3api" else service)
    method = operation.replace("-", "_")
    model = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[method])
    shapes = model.input_shape.members if model.input_shape else {}
    named = {xform_name(name, "-"): (name, shape) for name, shape in shapes.items()}
    given = {
        named[option][0]: _value(named[option][1].type_name, text)
        for option, text in options.items()
    }
    try:
        answer = getattr(client, method)(**given)
    except ClientError as error:
        sys.stderr.write(f"{error}\n")
        return 254
    for name, path in files.items():
        Path(path).write_text(jmespath.search(_OUTFILES[name], answer), encoding="utf-8")
    found = jmespath.search(query, answer)
    sys.stdout.write(f"{found if isinstance(found, str) else json.dumps(found, default=str)}\n")
    return 0


def _options(words: list[str]) -> dict[str, str]:
    """Return what follows each ``--option``; a switch has nothing."""
    found: dict[str, str] = {}
    for word in words:
        if word.startswith("--"):
            last = word[2:]
            found[last] = "true"
        else:
            found[last] = word
    switched_off = [name for name in found if name.startswith("no-")]
    for name in switched_off:
        del found[name]
        found[name.removeprefix("no-")] = "false"
    return found


def _value(kind: str, text: str) -> Any:
    if text.startswith("file://"):
        text = Path(text.removeprefix("file://")).read_text(encoding="utf-8")
    match kind:
        case "boolean":
            return text == "true"
        case "integer" | "long":
            return int(text)
        case "structure" | "map" | "list":
            return json.loads(text)
    return text
