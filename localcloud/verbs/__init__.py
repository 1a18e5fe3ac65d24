"""The verbs of ``localcloud``, one file each.

``SUMMARY`` says what a verb does, ``add_options`` adds its options to its parser, and ``run`` does
it, with a `StateFolder` and a `Console`.
"""
