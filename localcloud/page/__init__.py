"""A page that shows the wire and the registry as they change: ``localcloud watch --web``."""
