"""The generated parts of docs/tour.md: a first boot by claim as data, and how long each file is."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from device.provisioning import events as ev
from device.provisioning.actions import Action
from device.provisioning.claim import ClaimMachine, ClaimPlan
from device.provisioning.events import Credential, Event

_ROOT: Final = Path(__file__).parents[1]
_LENGTH: Final = re.compile(r"^(\| \[[^]]+\]\(\.\./(?P<file>[^)]+)\) \| )\d+( \|)", re.MULTILINE)
_TABLE: Final = re.compile(
    r"(?<=<!-- first boot: by scripts/docs -->\n\n).*?(?=\n<!-- first boot: end -->)", re.DOTALL
)
_PLAN: Final = ClaimPlan(
    template_name="firstboot-claim",
    parameters={"SerialNumber": "SN-0001"},
    claim_client_id="claim-SN-0001",
    expected_thing_name="SN-0001",
    proof_topic="dt/{thing_name}/telemetry",
    reply_timeout=15.0,
    connect_timeout=20.0,
)
EVENTS: Final[tuple[Event, ...]] = (
    ev.NothingStored(),
    ev.KeyGenerated("CSR"),
    ev.Connected(Credential.CLAIM),
    ev.Subscribed(),
    ev.CertificateIssued("be2407d3", "PEM", "TOKEN"),
    ev.CertificateStaged(),
    ev.ThingRegistered("SN-0001", {}),
    ev.Disconnected(),
    ev.Connected(Credential.STAGED),
    ev.PublishAcknowledged(),
    ev.IdentityPromoted(claim_destroyed=True),
)
"""What happens in a first boot by claim when nothing goes wrong."""


def with_tour(document: str) -> str:
    """Return ``document`` with its table of the first boot and its file lengths written again."""
    return _LENGTH.sub(_with_length, _TABLE.sub("\n".join(_rows()), document))


def _with_length(row: re.Match[str]) -> str:
    lines = len((_ROOT / row["file"]).read_text(encoding="utf-8").splitlines())
    return f"{row[1]}{max(10, round(lines, -1))}{row[3]}"


def _rows() -> Iterator[str]:
    yield "| event | then the device is | orders |"
    yield "|---|---|---|"
    machine = ClaimMachine(_PLAN)
    for event in EVENTS:
        orders = machine.receive(event)
        shown = "; ".join(f"`{_shown(order)}`" for order in orders) or "-"
        yield f"| `{type(event).__name__}` | {machine.state.value} | {shown} |"
    yield ""


def _shown(order: Action) -> str:
    """Return an order with the field that a reader looks for."""
    name = type(order).__name__
    for field in ("client_id", "topic", "topics", "thing_name"):
        value = getattr(order, field, None)
        if isinstance(value, tuple):
            return f"{name} {len(value)} topics"
        if value is not None:
            return f"{name} {value}"
    return name
