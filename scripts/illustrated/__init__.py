"""The Illustrated First Boot: recorded packets as pages and diagrams (docs/illustrated)."""
