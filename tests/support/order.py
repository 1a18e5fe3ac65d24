"""In which order the files of the suite are run, on several workers that take whole files."""

from collections.abc import Mapping
from typing import Final

LONGEST_FIRST: Final = (
    "wire/test_demo.py",
    "wire/test_pages.py",
    "wire/test_localcloud_process.py",
    "wire/test_device_run.py",
    "wire/bad_input",
    "wire/test_method_contract.py",
    "wire/test_method_claim_own_ca.py",
    "wire/test_device_operation.py",
    "scenarios/test_methods_over_tls.py",
    "wire",
    "world",
    "hardware",
    "scenarios",
    "foreign",
    "property",
    "diagnose",
    "advisor",
    "exhaustive",
    "unit/test_storage_crash",
    "unit/test_storage_rewrap.py",
    "unit/test_certificate_forms.py",
    "unit/test_factory_bulk.py",
    "unit/test_suite",
    "unit/test_import_rules.py",
    "unit/test_device_cli.py",
)
"""The last should be short, or one worker works alone at the end."""


def turns(waits: Mapping[str, bool]) -> dict[str, float]:
    """Return when each file has its turn, from 0 to 1; ``waits`` says which wait for others.

    A test that speaks TLS waits most of its time. If all of them came first, as the longest, cores
    would be idle; so the files that compute are spread evenly among them.
    """
    files = sorted(waits, key=_place)
    kinds = [[name for name in files if waits[name] is kind] for kind in (True, False)]
    return {name: (number + 0.5) / len(kind) for kind in kinds for number, name in enumerate(kind)}


def _place(name: str) -> int:
    places = [place for place, start in enumerate(LONGEST_FIRST) if name.startswith(start)]
    return min(places, default=len(LONGEST_FIRST))
