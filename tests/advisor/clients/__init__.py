"""Clients of others as their documentation has them: connect, subscribe, publish every second.

Nothing of the library's own behaviour is changed but times, where it has a setting for them.
"""
