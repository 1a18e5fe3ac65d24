"""The methods side by side: what each device needed, in one table."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

from scripts.demonstration.performance import Proven

_TITLES: Final = (
    "method", "key made by", "certificate issuer", "connections", "refusals", "time", "result",
)  # fmt: skip
_MAKERS: Final = {"device": "device", "aws": "AWS"}


@dataclass(frozen=True)
class Row:
    """One method; of one that failed nothing is known but that."""

    method: str
    result: str
    key_made_by: str | None = None
    certificate_issuer: str | None = None
    connections: int | None = None
    """Attempts until the identity was proven, refused ones included."""
    refusals: int | None = None
    seconds: float | None = None
    """From power-on to the proven identity."""

    def as_fields(self) -> dict[str, object]:
        """Return the row as ``--json`` prints it."""
        return asdict(self)

    def cells(self) -> tuple[str, ...]:
        """Return the row as a person reads it."""
        unknown = "-"
        maker = _MAKERS.get(self.key_made_by or "", self.key_made_by or unknown)
        counts = [unknown if n is None else str(n) for n in (self.connections, self.refusals)]
        time = unknown if self.seconds is None else f"{self.seconds:.2f} s"
        issuer = self.certificate_issuer or unknown
        return (self.method, maker, issuer, *counts, time, self.result)


def row_of(proven: Proven) -> Row:
    """Return the row of a device that did all that was promised."""
    boot = proven.boot
    return Row(
        proven.method.name, "proven, publishing", boot.key_made_by, proven.issuer,
        boot.connections, boot.refusals, round(boot.seconds, 3),
    )  # fmt: skip


def table(rows: Sequence[Row]) -> list[str]:
    """Return the lines of the table."""
    lines = [_TITLES, *(row.cells() for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
