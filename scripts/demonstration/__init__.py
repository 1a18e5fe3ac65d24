"""The demo: the commands a newcomer would type, typed for them, each step with a word on why."""
