"""Where each setting came from, so that an error can name it.

Weakest first: the default, what the station sealed into the device, the settings file, a
``DEVICE_*`` variable, a flag.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from device.errors import ConfigurationError

SEALED: Final = "sealed settings"
"""What errors call the settings in the device's storage."""


@dataclass(frozen=True)
class Sources:
    """The settings file, and what was set by the station, a variable or a flag instead."""

    file: str
    """`SEALED` where no file is given."""
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    """The variable or flag, or `SEALED`, by key, such as ``claim.template``."""
    in_file: frozenset[str] | None = None
    """The keys that the file sets; None if not recorded: then all count as set by the file."""

    @classmethod
    def named(cls, source: "Sources | str") -> "Sources":
        """Return ``source``, or the sources of settings that are all from the file so named."""
        return cls(source) if isinstance(source, str) else source

    def of(self, key: str) -> str:
        """Return what set ``key``: a variable, a flag, the file, or the default."""
        if key in self.elsewhere:
            return self.elsewhere[key]
        return "the default" if self.is_default(key) else self.file

    def is_default(self, key: str) -> bool:
        """Whether ``key`` is not set."""
        known = self.in_file is None or key in self.elsewhere
        return not known and key not in (self.in_file or ())

    def error(self, key: str, problem: str, next_step: str = "") -> ConfigurationError:
        """Return the error that the value of ``key`` cannot be used."""
        set_by_user = not self.is_default(key) and self.of(key) != SEALED
        return ConfigurationError(
            self.of(key), key, problem, next_step or ("" if set_by_user else self._set(key))
        )

    def missing(self, key: str, problem: str) -> ConfigurationError:
        """Return the error for ``key`` not being set."""
        source = self.elsewhere.get(key, self.file)
        return ConfigurationError(source, key, problem, self._set(key))

    def _set(self, key: str) -> str:
        if self.file == SEALED:
            return f"Set {key} in a settings file, and pass it: --config FILE."
        return f"Set {key} in {self.file}."
