"""How far a device has come in its life: read, written down, and gone back on by a reset."""
