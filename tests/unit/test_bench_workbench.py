"""Do the benches measure what `pip install` gives a device?"""

from importlib.metadata import requires

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from scripts.benchmarks.workbench import NOT_INSTALLED


def needed_by(distribution: str, seen: set[str]) -> set[str]:
    """Return the distributions that ``distribution`` needs, without extras."""
    for line in requires(distribution) or []:
        wanted = Requirement(line)
        name = canonicalize_name(wanted.name)
        applies = wanted.marker is None or wanted.marker.evaluate({"extra": ""})
        if applies and name not in seen:
            seen.add(name)
            seen |= needed_by(name, seen)
    return seen


def test_what_the_benches_hide_is_nothing_that_a_device_installs() -> None:
    installed = needed_by("firstboot", set())
    assert {"awsiotsdk", "cryptography", "msgspec"} <= installed
    assert installed.isdisjoint({canonicalize_name(name) for name in NOT_INSTALLED})
