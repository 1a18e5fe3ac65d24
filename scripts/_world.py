"""Many devices, a cloud, a network, disks and power in one thread on virtual time, from one seed.

Without --seed it runs worlds until --seconds are over. A broken rule is shrunk to the accidents
without which it would hold, and its seed is printed. See docs/cannot-be-bricked.md.
"""

import argparse
import logging
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tests.world.world import Outcome, Shape

_FIRST_SEED: Final = 1_000


def main() -> int:
    """Run one world or many; return 1 if a rule was broken."""
    parser = argparse.ArgumentParser(prog="scripts/world", description=__doc__)
    parser.add_argument("--seed", type=int, help="one world, and what happened last in it")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long many worlds take")
    parser.add_argument("--hash", action="store_true", help="print nothing but the hash")
    parser.add_argument(
        "--years", action="store_true", help="worlds of a year, four readings a day: device-years"
    )
    parser.add_argument(
        "--recovery", action="store_true", help="how long devices take to come back, by accident"
    )
    parser.add_argument("--first", action="store_true", help="stop at the first broken rule")
    parser.add_argument("--unshrunk", action="store_true", help="do not shrink what is broken")
    options = parser.parse_args()
    from tests.world.world import YEARS, Shape  # noqa: PLC0415 - --help needs no device

    logging.disable(logging.CRITICAL)  # what devices log of simulated faults
    with tempfile.TemporaryDirectory() as folder:
        if options.recovery:
            return _recovery(Path(folder))
        if options.seed is not None:
            return _one(options.seed, Path(folder), only_hash=options.hash)
        shape = YEARS if options.years else Shape()
        return _many(options.seconds, Path(folder), shape, options)


def _one(seed: int, folder: Path, *, only_hash: bool) -> int:
    from tests.world.world import Shape, World  # noqa: PLC0415 - --help needs no device

    outcome = World(seed, folder, Shape()).run()
    if only_hash:
        print(outcome.hash)  # noqa: T201 - a command
        return int(bool(outcome.broken))
    print("\n".join(outcome.last_words))  # noqa: T201 - a command
    _tell(outcome)
    if outcome.broken:
        _shrink(outcome, folder, Shape())
    return int(bool(outcome.broken))


def _recovery(folder: Path) -> int:
    from tests.world.recovery import table  # noqa: PLC0415 - --help needs no device

    for line in table(folder):
        print(line, flush=True)  # noqa: T201 - a command
    return 0


def _many(seconds: float, folder: Path, shape: "Shape", options: argparse.Namespace) -> int:
    from tests.world.world import World  # noqa: PLC0415 - --help needs no device

    started, seed, device_years, broken = time.process_time(), _FIRST_SEED, 0.0, 0
    while (spent := time.process_time() - started) < seconds:
        outcome = World(seed, folder / str(seed), shape).run()
        device_years += outcome.device_years
        if outcome.broken:
            broken += 1
            _tell(outcome)
            if not options.unshrunk:
                _shrink(outcome, folder, shape)
            if options.first:
                return 1
        seed += 1
    rate = device_years / spent * 60
    print(  # noqa: T201 - a command
        f"seeds {_FIRST_SEED} to {seed - 1}: {broken} broken; {device_years:.1f} device-years in "
        f"{spent:.0f} s of a core: {rate:.0f} a minute"
    )
    return int(bool(broken))


def _tell(outcome: "Outcome") -> None:
    print(  # noqa: T201 - a command
        f"seed {outcome.seed}: hash {outcome.hash}, {outcome.turns} turns, "
        f"{len(outcome.accidents)} accidents, {outcome.power_ons} power-ons, "
        f"{outcome.readings} readings, {outcome.renewals} renewals; "
        f"{outcome.broken or 'every rule holds'}"
    )


def _shrink(outcome: "Outcome", folder: Path, shape: "Shape") -> None:
    from tests.world.chance import Accident  # noqa: PLC0415 - --help needs no device
    from tests.world.shrink import shrink  # noqa: PLC0415
    from tests.world.world import World  # noqa: PLC0415

    rule = outcome.broken.partition(": ")[2]
    runs = iter(range(10**9))

    def fails(only: frozenset[Accident]) -> bool:
        again = World(outcome.seed, folder / f"shrink-{next(runs)}", shape, only=only).run()
        return again.broken.partition(": ")[2] == rule

    for kind, who, number in shrink(outcome.accidents, fails):
        print(f"  needs: {kind}, {who}, occasion {number}")  # noqa: T201 - a command


if __name__ == "__main__":
    sys.exit(main())
