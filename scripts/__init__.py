"""Commands for people who work on this checkout: one file a command, and what they share."""
