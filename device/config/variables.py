"""``DEVICE_*`` variables: which setting each one names, and what it says, as written."""

import logging
from functools import cache
from typing import Final

from msgspec import inspect

from device.config.typed import known_keys
from device.errors import ConfigurationError

PREFIX: Final = "DEVICE_"
NOT_SETTINGS: Final = frozenset({"DEVICE_STATE", "DEVICE_CONFIG", "DEVICE_ROOT_OF_TRUST"})
"""Read before there are settings: by the command line, and by the storage."""
_NEAR: Final = 0.8
"""How alike, of 1, a name must be to one of ours to be taken for a slip of the pen."""

_log = logging.getLogger(__name__)


def key_of(variable: str, schema: type) -> str | None:
    """Return the key that ``variable`` sets, such as ``claim.template``; None if it sets none.

    Raises:
        ConfigurationError: it sets none, but is spelled so nearly like one that it was meant to.
    """
    if not variable.startswith(PREFIX) or variable in NOT_SETTINGS:
        return None
    keys = _keys(schema)
    parts = variable.removeprefix(PREFIX).split("__")
    key = ".".join(parts)
    own = next((own for own in keys if own.endswith(".") and key.lower().startswith(own)), None)
    if own and len(key) > len(own):
        name = key[len(own) :]
        return own + (name.lower() if own == "subject." else name)
    key = ".".join(part.lower() if part.isupper() else part for part in parts)
    if key.partition(".")[0] in {known.partition(".")[0] for known in keys}:
        return key
    _refuse_slip(variable, keys)
    _log.warning("%s is not a setting; it is ignored", variable)
    return None


def text_of(variable: str, key: str, value: str) -> str:
    """Return ``value`` as it is written.

    Raises:
        ConfigurationError: it is not UTF-8.
    """
    try:
        value.encode()
    except UnicodeEncodeError:  # what Python makes of bytes that are none: lone surrogates
        raise ConfigurationError(variable, key, "is not UTF-8 text") from None
    return value


@cache
def _keys(schema: type) -> tuple[str, ...]:
    return tuple(known_keys(inspect.type_info(schema)))


def _refuse_slip(variable: str, keys: tuple[str, ...]) -> None:
    """Sections are offered too: of DEVICE_CLAM__TEMPLATE the first word is the wrong one."""
    known = {PREFIX + key.rstrip(".").upper().replace(".", "__") for key in keys}
    known |= {PREFIX + key.partition(".")[0].upper() for key in keys} | NOT_SETTINGS
    words = {name.removeprefix(PREFIX): name for name in sorted(known)}
    name = variable.removeprefix(PREFIX).upper()
    import difflib  # noqa: PLC0415 - only a slip needs it

    near = difflib.get_close_matches(name, words, 1, _NEAR)
    first = difflib.get_close_matches(name.partition("__")[0], words, 1, _NEAR)
    if near or ("__" in name and first):
        meant = words[(near or first)[0]]
        raise ConfigurationError(variable, "", "names no setting", f"Did you mean {meant}?")
