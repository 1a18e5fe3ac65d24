"""What is inside the device: fuses, lifecycle, sealed storage and keys."""
