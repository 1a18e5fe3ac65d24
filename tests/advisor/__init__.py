"""The advisor: a client that behaves passes each case, a broken one fails it."""
