"""A token that a device of a world keeps its keys in: it goes away, and it fills up."""

from collections.abc import Iterator
from contextlib import contextmanager

from device.storage.element.cryptoki_codes import ObjectClass, ReturnValue
from tests.support.fake_module import FakeModule, error_of
from tests.world.chance import Chance

ROOM: int = 4
"""Objects that fit: two pairs of keys, as many as a renewal needs."""


class Token(FakeModule):
    """A `FakeModule` among accidents."""

    def __init__(self, chance: Chance, who: str) -> None:
        """Begin with room for two pairs."""
        super().__init__()
        self._chance, self._who = chance, who
        self.is_away = False

    @property
    def pairs(self) -> int:
        """How many private keys it has."""
        return len(self.labels(ObjectClass.PRIVATE_KEY))

    @contextmanager
    def _called(self, function: str, session: int | None = None) -> Iterator[None]:
        if self.is_away or self._chance.strikes("token away for a call", self._who):
            self.lose_sessions()
            raise error_of(function, ReturnValue.DEVICE_REMOVED)
        is_making = function == "C_GenerateKeyPair"
        if is_making and (
            len(self.objects) >= ROOM or self._chance.strikes("token full", self._who)
        ):
            raise error_of(function, ReturnValue.DEVICE_MEMORY)
        with super()._called(function, session):
            yield
