"""How often a first boot succeeds against a rude cloud, beside AWS's own sample flow.

Both meet the same sequences of moods (``localcloud up --rude``), though not at the same packets,
since they send different ones.
"""

from collections.abc import Callable, Mapping
from typing import Final

from localcloud.process import lifecycle
from localcloud.process.state_folder import StateFolder
from scripts.benchmarks.comparison import Figures, Quantity, Row, alternate, compare
from scripts.benchmarks.first_boot import bare_command
from scripts.benchmarks.processes import RunFailedError
from scripts.benchmarks.workbench import CHECKOUT, Workbench, device_command, open_workbench

_BOOTS: Final = 5
"""Of each side, of each share, a round."""
_PERCENT: Final = (5, 20, 50)
_QUANTITIES: Final = tuple(
    Quantity(f"passed_{percent}", f"boots that passed, {percent} % rude", "%")
    for percent in _PERCENT
)
Boot = Callable[[str], None]


def rude(rounds: int) -> Mapping[str, list[Row]]:
    """Boot both sides and return the rows: means, for a boot passes or it does not.

    Raises:
        BenchError: the set-up did not do its work.
    """
    with open_workbench() as bench:
        bare = bare_command(bench)
        boot = (*device_command(), "boot", "--config", str(CHECKOUT / "config/claim.yaml"))

        def ours(serial: str) -> None:
            bench.measure(*boot, "--state", str(bench.make_device(serial)))

        def theirs(serial: str) -> None:
            bench.measure(*bare, "--serial", serial)

        found = alternate([_side(bench, "OURS", ours), _side(bench, "BARE", theirs)], rounds)
    return {"first boots": compare(_QUANTITIES, *map(_means, found))}


def _side(bench: Workbench, name: str, boot: Boot) -> Callable[[int], Figures]:
    folder = StateFolder(bench.folder / "cloud")

    def run(number: int) -> Figures:
        figures = {}
        for percent in _PERCENT:
            lifecycle.call(folder, "PUT", "rude", {"percent": percent, "seed": number})
            serials = [f"{name}-{number}-{percent}-{boot_number}" for boot_number in range(_BOOTS)]
            figures[f"passed_{percent}"] = (
                100 * sum(_passes(boot, each) for each in serials) / _BOOTS
            )
        return figures

    return run


def _passes(boot: Boot, serial: str) -> bool:
    try:
        boot(serial)
    except RunFailedError:
        return False
    return True


def _means(runs: list[Figures]) -> list[Figures]:
    return [{name: sum(run[name] for run in runs) / len(runs) for name in runs[0]}]
