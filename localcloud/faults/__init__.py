"""Faults that can be switched on, so that devices can be tested against them."""
