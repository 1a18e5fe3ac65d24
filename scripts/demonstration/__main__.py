"""Runs the demo: python -m scripts.demonstration."""

import sys

from scripts.demonstration.cli import main

sys.exit(main())
