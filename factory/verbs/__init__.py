"""The verbs of ``factory``, one file each.

``SUMMARY`` says what a verb does, ``add_options`` adds its options to its parser, and ``run`` does
it, with a `factory.console.Console`. A file whose name begins with ``_`` is shared by verbs.
"""
