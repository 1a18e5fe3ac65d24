"""The verbs of ``device``, one a file."""
