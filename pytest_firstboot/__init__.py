"""Fixtures for other people's tests: a local AWS, a station, made devices, power cuts, faults.

They use the public API of ``device`` and ``factory``, and ``localcloud`` as a process. How to
use them: docs/testing-devices.md.
"""

from pytest_firstboot.local_aws import Fault, LocalAWS, LocalAWSError

__all__ = ["Fault", "LocalAWS", "LocalAWSError"]
