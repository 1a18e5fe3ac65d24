"""The roots of trust that a storage may stand on, a page each."""
