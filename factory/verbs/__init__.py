"""Verbs of the station that have more to do than a few lines: one page each.

``add_options`` adds a verb's options to its parser, ``run`` does it.
"""
