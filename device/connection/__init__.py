"""The connection to AWS IoT Core: what goes over it, how it fails, and why it was refused."""
