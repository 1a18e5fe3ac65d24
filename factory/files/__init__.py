"""The files that the station works with: policies and templates, Lambdas, Amazon's root CAs.

In a checkout they are links to the folders at its root, which people edit; a wheel has copies.
"""

from importlib.resources import files
from pathlib import Path
from typing import Final

FILES: Final = Path(str(files(__name__)))
"""The folder with ``config/``, ``lambdas/`` and ``certs/``; packages are installed unzipped."""
