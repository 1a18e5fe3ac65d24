"""Plays a method page's own commands, and writes down what was seen: wire, calls, registry."""
