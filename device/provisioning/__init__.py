"""How a device becomes a registered thing: pure machines, events in, actions out."""
