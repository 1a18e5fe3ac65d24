"""Many devices in one process: the firmware of ``device``, a thousand times over.

Each has the real machines, loop, tasks and sealed storage, a key and a certificate of its own. What
they share is a thread of awscrt, and nothing that a device decides. How to use it: docs/fleet.md.
"""
