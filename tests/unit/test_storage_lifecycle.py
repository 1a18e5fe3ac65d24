"""Which lifecycle steps are legal?"""

import itertools

import pytest

from device.errors.storage import LifecycleError
from device.storage.lifecycle import TRANSITIONS, Lifecycle, check_transition

LEGAL = {
    ("ASSEMBLY_AND_TEST", "PSA_ROT_PROVISIONING"),
    ("PSA_ROT_PROVISIONING", "SECURED"),
    ("SECURED", "NON_PSA_ROT_DEBUG"),
    ("SECURED", "RECOVERABLE_PSA_ROT_DEBUG"),
    ("SECURED", "DECOMMISSIONED"),
    ("NON_PSA_ROT_DEBUG", "SECURED"),
    ("NON_PSA_ROT_DEBUG", "DECOMMISSIONED"),
    ("RECOVERABLE_PSA_ROT_DEBUG", "SECURED"),
    ("RECOVERABLE_PSA_ROT_DEBUG", "DECOMMISSIONED"),
}


@pytest.mark.parametrize(("current", "to"), list(itertools.product(Lifecycle, repeat=2)))
def test_only_the_listed_steps_are_legal(current: Lifecycle, to: Lifecycle) -> None:
    if (current.name, to.name) in LEGAL:
        check_transition(current, to)
    else:
        with pytest.raises(LifecycleError, match=f"{to.name} cannot follow {current.name}"):
            check_transition(current, to)


def test_every_state_has_a_row() -> None:
    assert set(TRANSITIONS) == set(Lifecycle)


def test_the_refusal_names_what_is_allowed() -> None:
    with pytest.raises(LifecycleError, match=r"\(allowed: SECURED\)"):
        check_transition(Lifecycle.PSA_ROT_PROVISIONING, Lifecycle.ASSEMBLY_AND_TEST)
    with pytest.raises(LifecycleError, match=r"\(allowed: nothing\)"):
        check_transition(Lifecycle.DECOMMISSIONED, Lifecycle.SECURED)


def test_values_are_those_of_the_psa_attestation_api() -> None:
    assert [state.value for state in Lifecycle] == [
        0x0000, 0x1000, 0x2000, 0x3000, 0x4000, 0x5000, 0x6000,
    ]  # fmt: skip
