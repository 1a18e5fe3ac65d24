"""A fuzzer that needs nothing: it changes what a corpus has, by chance, from a seed.

Where atheris is installed (``pip install atheris``), `main` is guided by coverage instead:

    python -m tests.fuzz.mutate TARGET SECONDS [SEED]
"""

import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.fuzz.targets import TARGETS, run

CORPUS: Final = Path(__file__).parents[1] / "data" / "corpus"
_SPLICES: Final = (
    b"", b"\0", b"\xff", b"{}", b"[]", b"null", b'""', b"-1", b"1e999", b"\xed\xa0\x80", b"-----",
    b"\xef\xbb\xbf", b"[" * 2000, b'{"a":' * 500, b"9" * 400, b"%00", b"\r\n", b"\x80" * 40,
)  # fmt: skip


def corpus(target: str) -> list[bytes]:
    """Return the inputs that are kept for ``target``."""
    return [path.read_bytes() for path in sorted((CORPUS / target).glob("*"))]


def mutations(seeds: list[bytes], seed: int) -> Iterator[bytes]:
    """Yield changed inputs without end: bits, bytes, cuts, splices, and two in one."""
    dice = random.Random(seed)  # noqa: S311 - no secret depends on it
    seeds = seeds or [b""]
    while True:
        data = bytearray(dice.choice(seeds))
        for _ in range(dice.randint(1, 4)):
            at = dice.randint(0, len(data))
            match dice.randint(0, 5):
                case 0 if data:
                    data[at % len(data)] ^= 1 << dice.randint(0, 7)
                case 1:
                    data[at:at] = dice.randbytes(dice.randint(1, 8))
                case 2:
                    del data[at : at + dice.randint(1, 16)]
                case 3:
                    data[at:at] = dice.choice(_SPLICES)
                case 4:
                    other = dice.choice(seeds)
                    cut = dice.randint(0, len(other))
                    data[at:] = other[cut:]
                case _:
                    data[at : at + 1] = bytes([dice.randint(0, 255)])
        yield bytes(data)


def fuzz(target: str, *, seconds: float, most: int, seed: int) -> int:
    """Try ``most`` inputs, or as many as fit into ``seconds``; return how many.

    Raises:
        Exception: what a target should not raise; its last line names the input.
    """
    until, tried = time.monotonic() + seconds, 0
    for data in mutations(corpus(target), seed):
        if tried >= most or (tried % 256 == 0 and time.monotonic() > until):
            break
        try:
            run(target, data)
        except Exception as error:
            error.add_note(f"target {target}, seed {seed}, input {tried}: {data!r}")
            raise
        tried += 1
    return tried


def main(target: str, seconds: float, seed: int) -> None:
    """Fuzz one target until it fails or the time is over."""
    try:
        import atheris  # noqa: PLC0415 - it is optional
    except ImportError:
        tried = fuzz(target, seconds=seconds, most=10**9, seed=seed)
        print(f"{target}: {tried:,} inputs, seed {seed}")  # noqa: T201 - a command
        return
    atheris.instrument_all()
    options = [f"-max_total_time={int(seconds)}", f"-seed={seed}", str(CORPUS / target)]
    atheris.Setup([sys.argv[0], *options], lambda data: run(target, data))
    atheris.Fuzz()


if __name__ == "__main__":
    chosen = list(TARGETS) if sys.argv[1] == "all" else [sys.argv[1]]
    for each in chosen:
        main(each, float(sys.argv[2]), int(sys.argv[3]) if sys.argv[3:] else 1)
