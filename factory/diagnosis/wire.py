"""What the broker of the local AWS saw of a client; ``localcloud`` runs as a process."""

import json
import subprocess  # nosec B404 - a command of our own, with a list of arguments
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from device.errors import ConfigurationError
from factory.diagnosis.reason import Reason, reason
from factory.errors.diagnosis import BROKER_REFUSED, CLIENT_ID_TAKEN

_SECONDS: Final = 30.0
_FIRST_REFUSAL: Final = 0x80
"""Of a reason code: MQTT 5, 2.4."""
_TAKEN_OVER: Final = 142
"""MQTT 5, 3.14.2.1: session taken over."""
_ANOTHER_CLIENT: Final = "another client came"
"""How the wire log says so, also of MQTT 3."""

Event = Mapping[str, Any]


def wire_of(state: Path) -> list[Event]:
    """Return what the local AWS in ``state`` heard lately.

    Raises:
        ConfigurationError: no local AWS answers there.
    """
    command = [sys.executable, "-m", "localcloud", "wire", "--json", "--state", str(state)]
    try:
        done = subprocess.run(  # noqa: S603  # nosec B603 - see above
            command, capture_output=True, text=True, check=True, timeout=_SECONDS
        )
    except subprocess.SubprocessError:
        step = "Name the state folder of a local AWS that runs, or leave --local-aws out."
        problem = f"no local AWS answers in {state}"
        raise ConfigurationError("--local-aws", "", problem, step) from None
    return [json.loads(line) for line in done.stdout.splitlines()]


def refusals(
    events: list[Event], certificate_id: str | None, client_id: str | None
) -> Iterator[Reason]:
    """Yield why the broker refused the latest connection of a client that it refused."""
    ours = {
        each["connection"]
        for each in events
        if certificate_id is not None and each.get("certificate_id") == certificate_id
    } or {each["connection"] for each in events if client_id and each.get("client_id") == client_id}
    refused = [each for each in events if each["connection"] in ours and _is_refusal(each)]
    if not refused:
        return
    last = refused[-1]["connection"]
    told = [each for each in refused if each["connection"] == last]
    is_twin = any(_is_takeover(each) for each in told)
    words = "; ".join(dict.fromkeys(map(_words, told)))
    yield reason(CLIENT_ID_TAKEN if is_twin else BROKER_REFUSED, "local AWS", words)


def _is_takeover(event: Event) -> bool:
    has_code = _TAKEN_OVER in (event.get("reason_codes") or [])
    return has_code or _ANOTHER_CLIENT in str(event.get("reason"))


def _is_refusal(event: Event) -> bool:
    codes = event.get("reason_codes") or []
    return bool(event.get("reason")) or any(int(code) >= _FIRST_REFUSAL for code in codes)


def _words(event: Event) -> str:
    if event.get("reason"):
        return str(event["reason"])
    codes = ", ".join(f"{int(code)}" for code in event["reason_codes"])
    topics = ", ".join(map(str, event.get("topics") or []))
    return f"{event.get('packet')} {codes}" + (f" on {topics}" if topics else "")
