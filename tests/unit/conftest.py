"""Fixtures of the unit tests."""

from pathlib import Path

import pytest

from tests.support.roots import PLANS, Hardware, RootBench


@pytest.fixture(params=PLANS)
def root(request: pytest.FixtureRequest, tmp_path: Path) -> RootBench:
    """Each kind of root of trust, one after the other."""
    return RootBench.of(request.param, Hardware(tmp_path / "board"))
