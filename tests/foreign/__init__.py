"""Clients that nobody in this project wrote, run unchanged against the local AWS."""
