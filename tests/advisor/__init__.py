"""The advisor: a client that behaves passes each case, and one that is broken in its way fails it."""
