"""``scripts/bench NAME``: what Firstboot costs, side by side with a yardstick, in one run."""

import argparse
import json
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from scripts.benchmarks.comparison import Row
from scripts.benchmarks.processes import BenchError
from scripts.benchmarks.table import table

TABLE: Final = "table"
Rows = Mapping[str, list[Row]]


@dataclass(frozen=True)
class Bench:
    """Something to measure, and what it is measured against."""

    summary: str
    yardstick: str
    run: Callable[[int], Rows]


def _first_boot(rounds: int) -> Rows:
    from scripts.benchmarks.first_boot import first_boot  # noqa: PLC0415 - --help needs no device

    return first_boot(rounds)


def _cold_start(rounds: int) -> Rows:
    from scripts.benchmarks.cold_start import cold_start  # noqa: PLC0415

    return cold_start(rounds)


def _methods(rounds: int) -> Rows:
    from scripts.benchmarks.methods import methods  # noqa: PLC0415

    return methods(rounds)


def _element(rounds: int) -> Rows:
    from scripts.benchmarks.element import element  # noqa: PLC0415

    return element(rounds)


def _broker(rounds: int) -> Rows:
    from scripts.benchmarks.broker import broker  # noqa: PLC0415

    return broker(rounds)


def _rude(rounds: int) -> Rows:
    from scripts.benchmarks.rude import rude  # noqa: PLC0415

    return rude(rounds)


def _rotate(rounds: int) -> Rows:
    from scripts.benchmarks.rotate import rotate  # noqa: PLC0415

    return rotate(rounds)


def _run(rounds: int) -> Rows:
    from scripts.benchmarks.run import run  # noqa: PLC0415

    return run(rounds)


def _slow(rounds: int) -> Rows:
    from scripts.benchmarks.first_boot import slow  # noqa: PLC0415

    return slow(rounds)


def _line_of_devices(rounds: int) -> Rows:
    from scripts.benchmarks.line import line  # noqa: PLC0415

    return line(rounds)


def _fleet(rounds: int) -> Rows:
    from scripts.benchmarks.fleet import fleet  # noqa: PLC0415

    return fleet(rounds)


def _growth(rounds: int) -> Rows:
    from scripts.benchmarks.growth import growth  # noqa: PLC0415

    return growth(rounds)


def _swarm(rounds: int) -> Rows:
    from scripts.benchmarks.swarm import swarm  # noqa: PLC0415

    return swarm(rounds)


def _commits(rounds: int) -> Rows:
    from scripts.benchmarks.commits import commits  # noqa: PLC0415

    return commits(rounds)


BENCHES: Final[Mapping[str, Bench]] = {
    "first-boot": Bench(
        "our whole first boot against the same exchange written with AWS's SDK alone",
        "the bare exchange",
        _first_boot,
    ),
    "slow": Bench(
        "the same first boot on 0.2 of a core (SIGSTOP and SIGCONT by used time, as cpulimit)",
        "the bare exchange, on as much",
        _slow,
    ),
    "cold-start": Bench(
        "`device --version` and `device status` against `python -c pass`",
        "python -c pass",
        _cold_start,
    ),
    "methods": Bench(
        "the first boot by every method against that by claim",
        "the first boot by claim",
        _methods,
    ),
    "element": Bench(
        "a CSR and a connection with the key in SoftHSM, and in swtpm, against a key in software",
        "the sealed key, in software",
        _element,
    ),
    "line": Bench(
        "devices on the production line against what OpenSSL and the disk allow, and long lists",
        "key, CSR, leaf and synced files, bare",
        _line_of_devices,
    ),
    "fleet": Bench(
        "devices a second and memory a device in one process, against AWS's SDK alone",
        "as many bare exchanges in one process",
        _fleet,
    ),
    "growth": Bench(
        "what a device costs the local AWS, the ledger and the bulk file when there are many",
        "the same, with few",
        _growth,
    ),
    "swarm": Bench(
        "two workers of Locust: the processor time of a device",
        "one worker",
        _swarm,
    ),
    "commits": Bench(
        "commits of a device's sealed store against six bare writes with fsync of the same sizes",
        "the same files, written and synced bare",
        _commits,
    ),
    "broker": Bench(
        "connections, QoS 1 round trips and memory of the local AWS's broker",
        "MiniStack's own MQTT session, before docs/adr/0017",
        _broker,
    ),
    "rotate": Bench(
        "a renewal while the device publishes, against the bare exchange; and the gap it leaves",
        "the bare exchange; for the gap, as long a time without a renewal",
        _rotate,
    ),
    "run": Bench(
        "a device at work: memory and CPU when idle, and messages a second through its outbox",
        "a bare client of AWS's SDK that publishes the same",
        _run,
    ),
    "rude": Bench(
        "first boots that pass against a rude cloud, against AWS's sample flow",
        "the bare exchange",
        _rude,
    ),
}


def main(arguments: Sequence[str] | None = None, benches: Mapping[str, Bench] = BENCHES) -> int:
    """Run one of ``benches`` and print it; return the exit code: 0 measured, 1 not."""
    options = _parser(benches).parse_args(arguments)
    if options.name == TABLE:
        _say(f"table: every bench that has a number; {options.rounds} rounds, sides in turn.")
        for line in table(lambda name: benches[name].run(options.rounds)):
            print(line, flush=True)
        return 0
    bench = benches[options.name]
    _say(f"{options.name}: {bench.summary}; {options.rounds} rounds, sides in turn.")
    try:
        found = bench.run(options.rounds)
    except BenchError as error:
        _say(f"bench: {error}")
        return 1
    except KeyboardInterrupt:
        return 1
    if options.json:
        print(json.dumps(_as_object(options, bench, found)))
    else:
        print(*_table(bench, found), sep="\n")
    return 0


def _table(bench: Bench, found: Rows) -> list[str]:
    lines = [
        f"medians; yardstick: {bench.yardstick}; ratio: of the medians, and median of the pairs"
    ]
    for name, rows in found.items():
        lines += ["", f"{name:<28}{'ours':>12}{'yardstick':>12}{'ratio':>8}{'pairs':>8}  aim"]
        lines += [_line(row) for row in rows]
    return lines


def _line(row: Row) -> str:
    digits = 1 if row.quantity.unit.endswith("iB") else 3
    ours, other = (
        f"{value:>8.{digits}f} {row.quantity.unit:<3}" for value in (row.ours, row.yardstick)
    )
    aim = "" if row.quantity.aim is None else f"{row.quantity.aim:.2f}"
    verdict = {True: " met", False: " MISSED", None: ""}[row.meets_aim]
    return (
        f"  {row.quantity.title:<26}{ours}{other}{row.ratio:>8.2f}{row.paired_ratio:>8.2f}"
        f"  {aim}{verdict}"
    )


def _as_object(options: argparse.Namespace, bench: Bench, found: Rows) -> dict[str, object]:
    return {
        "bench": options.name,
        "rounds": options.rounds,
        "yardstick": bench.yardstick,
        "python": platform.python_version(),
        "results": {
            name: {
                row.quantity.name: {
                    "unit": row.quantity.unit,
                    "ours": round(row.ours, 4),
                    "yardstick": round(row.yardstick, 4),
                    "ratio": round(row.ratio, 3),
                    "paired_ratio": round(row.paired_ratio, 3),
                    "aim": row.quantity.aim,
                }
                for row in rows
            }
            for name, rows in found.items()
        },
    }


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def _parser(benches: Mapping[str, Bench]) -> argparse.ArgumentParser:
    listed = "\n".join(f"  {name:<12} {bench.summary}" for name, bench in benches.items())
    listed += f"\n  {TABLE:<12} P1 to P10 of docs/performance.md, as markdown, from one run"
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description=__doc__,
        epilog=f"benches:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "name", choices=[*benches, TABLE], metavar="NAME", help="one of the benches below"
    )
    parser.add_argument(
        "-n", dest="rounds", type=_rounds, default=20, metavar="N", help="rounds; default: 20"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead")
    return parser


def _rounds(text: str) -> int:
    rounds = int(text)
    if not 1 <= rounds <= 1000:
        raise ValueError(text)
    return rounds
