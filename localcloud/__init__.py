"""AWS on this machine: MiniStack, and what it lacks for device provisioning."""
