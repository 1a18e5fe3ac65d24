"""Our whole first boot, durable storage and proof included, against the bare exchange."""

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from device.storage.device_storage import open_device_storage
from device.storage.keys import CLAIM_KEY, MemoryIdentity
from device.storage.secure_storage import Uid
from scripts.benchmarks.comparison import Figures, Quantity, Row, alternate, compare
from scripts.benchmarks.processes import BenchError, Run
from scripts.benchmarks.workbench import Workbench, device_command, open_workbench

QUANTITIES: Final = (
    Quantity("wall", "wall time, whole process", "s", aim=0.65),
    Quantity("exchange", "claim connected to proven", "s"),
    Quantity("memory", "peak memory", "MiB", aim=0.95),
    Quantity("cpu", "CPU time", "s"),
)
SLOW_SHARE: Final = 0.2
_STEP: Final = r"^ *([0-9.]+) s  {}"
_BARE: Final = re.compile(r"connected to proven: ([0-9.]+) s")


def slow(rounds: int) -> Mapping[str, list[Row]]:
    """Measure both sides on a fifth of a core and return the rows.

    Raises:
        BenchError: a side, or the set-up, did not do its work.
    """
    quantities = (Quantity("wall", "start to end, proven", "s", aim=1.0), QUANTITIES[-1])
    return first_boot(rounds, quantities, SLOW_SHARE)


def first_boot(
    rounds: int, quantities: Sequence[Quantity] = QUANTITIES, share: float | None = None
) -> Mapping[str, list[Row]]:
    """Measure both sides, each on ``share`` of a core if that is given, and return the rows.

    Raises:
        BenchError: a side, or the set-up, did not do its work.
    """
    with open_workbench() as bench:
        states = [bench.make_device(f"OURS-{number}") for number in range(rounds + 1)]
        bare = bare_command(bench)
        boot = (*device_command(), "boot")  # with the settings that the station sealed

        def ours(number: int) -> Figures:
            run = bench.measure(*boot, "--state", str(states[number]), share=share)
            return _figures(run, _moment(run, "identity proven") - _moment(run, "claim connected"))

        def theirs(number: int) -> Figures:
            run = bench.measure(*bare, "--serial", f"BARE-{number}", share=share)
            return _figures(run, seconds_of(run))

        runs, yardstick = alternate([ours, theirs], rounds)
    return {"device boot": compare(quantities, runs, yardstick)}


def bare_command(bench: Workbench) -> tuple[str, ...]:
    """Return the bare exchange, which holds the claim in files, as AWS's samples do."""
    with open_device_storage(bench.make_device("CLAIM"), read_only=True) as storage:
        certificate = storage.ps.get(Uid.CLAIM_CERTIFICATE)
        identity = storage.keys.tls_identity(CLAIM_KEY, certificate)
    if not isinstance(identity, MemoryIdentity):
        raise TypeError("the claim's key is one in software")
    host, _, port = bench.cloud["DEVICE_ENDPOINT"].rpartition(":")
    return (
        sys.executable,
        # as `device` is started: from bytecode, which a script named by its path never has
        *("-c", "from scripts.benchmarks.bare_exchange import main; main()"),
        *("--endpoint", host, "--port", port, "--template", "firstboot-claim"),
        *("--ca-file", bench.cloud["DEVICE_ROOT_CA"]),
        *("--cert", _write(bench.folder / "claim.pem", identity.certificate_pem)),
        *("--key", _write(bench.folder / "claim.key", identity.private_key_pem)),
    )


def seconds_of(run: Run) -> float:
    """Return how long the bare exchange took, from connected to proven."""
    return float(_found(_BARE, run))


def _write(path: Path, content: bytes) -> str:
    path.touch(mode=0o600)
    path.write_bytes(content)
    return str(path)


def _figures(run: Run, exchange: float) -> Figures:
    return {"wall": run.wall, "exchange": exchange, "memory": run.memory, "cpu": run.cpu}


def _moment(run: Run, step: str) -> float:
    return float(_found(re.compile(_STEP.format(step), re.MULTILINE), run))


def _found(pattern: re.Pattern[str], run: Run) -> str:
    found = pattern.search(run.output)
    if found is None:
        raise BenchError(f"{pattern.pattern!r} is not in what was printed:\n{run.output}")
    return found[1]
