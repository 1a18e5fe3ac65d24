"""The one way to MiniStack's private functions: by name, and checked."""

from typing import Any

from localcloud.errors import GAP


class Seam:
    """A module or class of MiniStack whose private parts are read and replaced by name.

    MiniStack publishes no types, so what comes out is ``Any``. Its version is pinned exactly;
    a name that is gone all the same is an error that says so.
    """

    def __init__(self, owner: object) -> None:
        """Give access to the attributes of ``owner``."""
        self._owner = owner
        self._name = getattr(owner, "__name__", type(owner).__name__)

    def __getitem__(self, name: str) -> Any:
        """Return an attribute.

        Raises:
            GapError: MiniStack has no such name.
        """
        try:
            return getattr(self._owner, name)
        except AttributeError:
            raise GAP.error(
                f"{self._name} of MiniStack has no {name}",
                gap=name,
                next_step="Install the version of MiniStack that setup.cfg pins, or adapt the gap "
                "module.",
            ) from None

    def __setitem__(self, name: str, value: object) -> None:
        """Replace an attribute that exists.

        Raises:
            GapError: MiniStack has no such name.
        """
        self[name]
        setattr(self._owner, name, value)
