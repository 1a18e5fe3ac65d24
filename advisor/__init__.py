"""Runs AWS Device Advisor's cases, and cases of ours, against any MQTT client as a black box."""
