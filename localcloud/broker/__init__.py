"""The MQTT side of the local AWS: packets, sessions, delivery; the registry is MiniStack's."""
