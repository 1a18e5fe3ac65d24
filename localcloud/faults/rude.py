"""A cloud that behaves badly now and then, within what AWS IoT may do.

The idea is Pebble's, the ACME server for tests: a client that passes here has met what it will
meet. One seed gives one sequence of moods, so that a failure can be had again.
"""

import random
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec

from localcloud.errors import SETTINGS

LATEST_SECONDS: Final = 1.5
MOST_PERCENT: Final = 50


@dataclass(frozen=True)
class Mood:
    """What happens to one message."""

    seconds: float = 0.0
    duplicate: bool = False
    reorder: bool = False


_GOOD: Final = Mood()


class Manners(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """How rude, and in which sequence."""

    percent: Annotated[int, msgspec.Meta(ge=0, le=MOST_PERCENT)] = 0
    seed: int = 0
    latest_seconds: Annotated[float, msgspec.Meta(ge=0, le=3600)] = LATEST_SECONDS
    """The longest that a message is held back."""


class Rude:
    """Decides, request by request, whether to be rude."""

    def __init__(self, percent: int = 0, seed: int = 0) -> None:
        """Be rude in ``percent`` of all cases, 0 to 50."""
        self._begin(Manners(percent, seed))

    @property
    def percent(self) -> int:
        """In how many of a hundred cases."""
        return self._manners.percent

    @property
    def seed(self) -> int:
        """Where the sequence began."""
        return self._manners.seed

    @property
    def latest_seconds(self) -> float:
        """The longest that a message is held back."""
        return self._manners.latest_seconds

    def listed(self) -> object:
        """Return what JSON can say of it."""
        return msgspec.to_builtins(self._manners)

    def change(self, body: bytes) -> None:
        """Begin a new sequence, as ``body``, a JSON object, says.

        Raises:
            SettingsError: a name is unknown or a value out of range; nothing was changed.
        """
        try:
            self._begin(msgspec.json.decode(body, type=Manners))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise SETTINGS.error(str(error)) from error

    def _begin(self, manners: Manners) -> None:
        self._manners = manners
        self._random = random.Random(manners.seed)  # noqa: S311  # nosec B311  (moods, no secrets)

    def throttles(self) -> bool:
        """Whether to refuse this request with 429."""
        return self._strikes()

    def for_message(self) -> Mood:
        """Return what happens to the next message to a device."""
        if not self._strikes():
            return _GOOD
        late = Mood(seconds=self._random.uniform(0, self.latest_seconds))
        return self._random.choice([late, Mood(duplicate=True), Mood(reorder=True)])

    def _strikes(self) -> bool:
        return self.percent > 0 and self._random.random() * 100 < self.percent
