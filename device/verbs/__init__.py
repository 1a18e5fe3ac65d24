"""The verbs of ``device``, one file each.

``SUMMARY`` says what a verb does, ``add_options`` adds its options to its parser, and ``run`` does
it, with a `device.console.Console`. A file whose name begins with ``_`` is shared by verbs.
"""
