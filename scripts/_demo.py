"""From nothing to a proven, publishing device, on this machine alone."""

print("not yet")  # noqa: T201
