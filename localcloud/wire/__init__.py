"""What devices and the broker said to each other."""
