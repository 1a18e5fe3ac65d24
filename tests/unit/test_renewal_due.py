"""When a certificate is renewed: at a part of its life or an age, each device by its own share."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from device.operation.renewal_due import CertificateLife, RenewalPolicy, due_at

DAY = 86_400.0
LIFE = CertificateLife("0" * 64, not_before=0.0, not_after=300 * DAY, since=0.0)
NOW = 150 * DAY
POLICY = RenewalPolicy(at_fraction=2 / 3, max_age_days=None, jitter=0.0)
IDS = st.integers(0, 2**256 - 1).map("{:064x}".format)


def with_id(certificate_id: str) -> CertificateLife:
    return structs.replace(LIFE, certificate_id=certificate_id)


def test_it_is_due_at_its_part_of_the_life() -> None:
    assert due_at(LIFE, POLICY, 0.0) == 200 * DAY


def test_an_age_counts_if_it_is_sooner() -> None:
    assert due_at(LIFE, structs.replace(POLICY, max_age_days=30), 0.0) == 30 * DAY
    assert due_at(LIFE, structs.replace(POLICY, max_age_days=900), 0.0) == 200 * DAY


def test_a_short_life_counts_from_the_promotion_and_not_from_the_date_that_the_ca_chose() -> None:
    """A CA that dates back by a day would have a certificate of an hour renewed at once."""
    hour = 3600.0
    life = CertificateLife("0" * 64, not_before=-DAY, not_after=hour, since=0.0)

    assert due_at(life, POLICY, NOW) == 2 / 3 * hour


def test_a_promotion_at_a_time_that_cannot_be_does_not_count() -> None:
    """The clock was never set when the device was proven."""
    life = structs.replace(LIFE, not_before=100 * DAY, since=10.0)

    assert due_at(life, POLICY, NOW) > 100 * DAY


def test_a_clock_that_was_ahead_at_the_promotion_does_not_put_the_renewal_off() -> None:
    life = structs.replace(LIFE, since=290 * DAY)

    assert due_at(life, POLICY, NOW) == 200 * DAY


def test_a_clock_that_stays_ahead_does_not_have_a_new_certificate_renewed_at_once() -> None:
    life = structs.replace(LIFE, since=9_000 * DAY)

    assert due_at(life, POLICY, 9_001 * DAY) == 9_200 * DAY


@given(IDS, st.floats(0.0, 0.5))
def test_a_device_is_early_by_its_share_and_never_late(certificate_id: str, jitter: float) -> None:
    due = due_at(with_id(certificate_id), structs.replace(POLICY, jitter=jitter), NOW)

    assert (1 - jitter) * 200 * DAY - 1 <= due <= 200 * DAY, "to the second"


@given(IDS)
def test_the_share_is_the_same_at_each_look(certificate_id: str) -> None:
    policy = structs.replace(POLICY, jitter=0.1)

    first = due_at(with_id(certificate_id), policy, NOW)

    assert first == due_at(with_id(certificate_id), policy, NOW + DAY)


def test_a_fleet_is_spread_over_the_whole_time() -> None:
    policy = structs.replace(POLICY, jitter=0.1)
    ids = [f"{number * 0x01000000:08x}" + "0" * 56 for number in range(256)]
    moments = sorted(due_at(with_id(each), policy, NOW) for each in ids)

    assert moments[0] < 181 * DAY
    assert moments[-1] == 200 * DAY
    gaps = [after - before for before, after in pairwise(moments)]
    assert max(gaps) < DAY / 10
