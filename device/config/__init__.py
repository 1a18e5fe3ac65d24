"""What a device is configured with, read and checked; the station reads it by the same code."""
