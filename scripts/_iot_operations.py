"""Writes the table of AWS IoT's operations into docs/local-aws.md: there or not.

An operation is there if the local AWS answers its path otherwise than any path it does not know.
The operations are those of botocore's models.
"""

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

_ROOT: Final = Path(__file__).parents[1]
_BEGIN: Final = "<!-- operations: written by scripts/docs -->\n"
_END: Final = "<!-- operations end -->\n"
_UNKNOWN: Final = (b"Unsupported IoT path", b"Unsupported iot-data path", b"Unsupported iot-jobs")
_SERVICES: Final = {"iot": "iot", "iot-data": "iot_data", "iot-jobs-data": "iot_jobs_data"}


def with_operations(document: str) -> str:
    """Return ``document`` with its table written again."""
    before, found, rest = document.partition(_BEGIN)
    if not found:
        return document
    after = rest.partition(_END)[2]
    return f"{before}{_BEGIN}{_table()}{_END}{after}"


def _table() -> str:
    """Run this module in a process of its own, for closing the gaps changes MiniStack for good."""
    command = [sys.executable, "-m", "scripts._iot_operations"]
    made = subprocess.run(  # noqa: S603  (this module)
        command, cwd=_ROOT, check=True, capture_output=True, text=True
    )
    return made.stdout


def table() -> str:
    """Return the table."""
    lines = ["| service | there | not there |", "|---|---|---|"]
    modules = _closed()
    for service, name in _SERVICES.items():
        served: list[str] = []
        missing: list[str] = []
        for operation, is_there in _operations(service, modules[name]):
            (served if is_there else missing).append(operation)
        cells = [", ".join(sorted(part)) or "-" for part in (served, missing)]
        lines.append(f"| {service} ({len(served)} of {len(served) + len(missing)}) | ")
        lines[-1] += " | ".join(cells) + " |"
    return "\n".join(lines) + "\n"


def _closed() -> dict[str, Any]:
    """Return MiniStack's services with the gaps closed."""
    from ministack.services import iot, iot_data, iot_jobs_data  # noqa: PLC0415  (heavy)

    from localcloud.gaps import all_gaps, close_gaps  # noqa: PLC0415
    from localcloud.gaps._support.issuer import open_issuer  # noqa: PLC0415
    from localcloud.seam import Seam  # noqa: PLC0415
    from localcloud.settings import Settings  # noqa: PLC0415

    with TemporaryDirectory() as folder:
        gaps = all_gaps(open_issuer(Path(folder) / "issuing-ca.pem"), Settings())
        close_gaps(Seam(iot), gaps)
    return {"iot": iot, "iot_data": iot_data, "iot_jobs_data": iot_jobs_data}


def _operations(service: str, module: Any) -> Iterator[tuple[str, bool]]:
    from botocore.session import Session  # noqa: PLC0415  (heavy)

    model = Session().get_service_model(service)
    for name in model.operation_names:
        http = model.operation_model(name).http
        path = re.sub(r"\{\w+\+?\}", "x", http["requestUri"].partition("?")[0])
        yield name, _is_served(module, http["method"], path)


def _is_served(module: Any, method: str, path: str) -> bool:
    try:
        answer = asyncio.run(module.handle_request(method, path, {}, b"{}", {}))
    except Exception:  # noqa: BLE001  (it was busy with the operation)
        return True
    return not any(unknown in answer[2] for unknown in _UNKNOWN)


if __name__ == "__main__":
    sys.stdout.write(table())
