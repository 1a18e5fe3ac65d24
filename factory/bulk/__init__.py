"""Bulk registration: a batch of devices, registered by one task of AWS IoT.

``batch`` runs one, step by step; ``journal`` remembers how far it has come, so that a station
that was switched off continues where it was; ``input_file``, ``task`` and ``reports`` are what
goes to AWS and what comes back. AWS IoT developer guide, "Bulk registration".
"""
