"""The policies and templates in config/: plain JSON, with three values filled in.

An IoT policy must name Region and account in its ARNs, and a file that serves every account
cannot. So ``@partition``, ``@region`` and ``@account`` stand for them. ``@`` is used since
``$`` is taken: by AWS's policy variables (``${iot:...}``) and by its reserved topics
(``$aws/...``), which AWS itself must see unchanged.
"""

import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any, Final

from device.errors import ConfigurationError

FILES: Final = Path(str(files("factory.files")))
"""The folder with ``config/``, ``lambdas/`` and ``certs/``; packages are installed unzipped."""

CONFIG: Final = (FILES / "config").resolve()
"""config/ of this checkout."""


class _Document(Template):
    delimiter = "@"


def load_policy(name: str, placeholders: Mapping[str, str], folder: Path = CONFIG) -> str:
    """Return the policy ``name`` from config/policies, filled in, without white space.

    Raises:
        ConfigurationError: the file is missing, not JSON, or has a placeholder that is unknown.
    """
    return _load(folder / "policies" / f"{name}.json", placeholders)


def load_template(name: str, folder: Path = CONFIG) -> str:
    """Return the provisioning template ``name`` from config/templates, as it is.

    Raises:
        ConfigurationError: the file is missing or not JSON, or has a placeholder.
    """
    return _load(folder / "templates" / f"{name}.json", {})


def parse_json(text: str) -> Any:
    """Return the document in ``text``.

    Raises:
        ValueError: it is not JSON, or an object in it has a key twice: of two AWS takes one, and
            does not say which.
    """
    return json.loads(text, object_pairs_hook=_object)


def same_document(one: str, other: str) -> bool:
    """Tell whether two JSON texts mean the same; AWS may store another white space."""
    try:
        return bool(json.loads(one) == json.loads(other))
    except ValueError:
        return False


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r} is there twice")
        found[key] = value
    return found


def _load(path: Path, placeholders: Mapping[str, str]) -> str:
    try:
        document = _Document(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(str(path), "", f"cannot be read: {error}") from error
    for name in document.get_identifiers():
        if name not in placeholders:
            known = ", ".join(f"@{known}" for known in placeholders) or "none here"
            raise ConfigurationError(str(path), f"@{name}", f"unknown placeholder (known: {known})")
    try:
        return _compact(document.substitute(placeholders))
    except ValueError as error:
        raise ConfigurationError(str(path), "", f"is not usable JSON: {error}") from error


def _compact(text: str) -> str:
    # AWS counts a policy without white space (2048 characters), and stores what it is given.
    return json.dumps(parse_json(text), separators=(",", ":"))
