"""The firmware client of a simulated device for AWS IoT Core."""
