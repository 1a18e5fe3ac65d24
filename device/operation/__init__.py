"""What a proven device does over its connection: tasks, and the work of keeping them going."""
