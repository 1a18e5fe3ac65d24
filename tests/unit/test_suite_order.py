"""The order of the suite: long files first, and files that wait among files that compute."""

from tests.support.order import turns


def in_order(waits: dict[str, bool]) -> list[str]:
    return sorted(waits, key=turns(waits).__getitem__)


def test_of_those_that_wait_and_of_those_that_compute_the_longest_are_first() -> None:
    order = in_order({"wire/test_a.py": True, "wire/test_demo.py": True, "unit/test_x.py": False,
                      "property/test_y.py": False})  # fmt: skip

    assert order.index("wire/test_demo.py") < order.index("wire/test_a.py")
    assert order.index("property/test_y.py") < order.index("unit/test_x.py")


def test_those_that_compute_are_spread_among_those_that_wait() -> None:
    wire = {f"wire/test_{number}.py": True for number in range(20)}
    unit = {f"unit/test_{number}.py": False for number in range(40)}

    order = in_order({**wire, **unit})

    quarters = [order[start : start + 15] for start in range(0, 60, 15)]
    assert [sum(name in wire for name in quarter) for quarter in quarters] == [5, 5, 5, 5]
