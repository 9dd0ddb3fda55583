"""What the worker is measured against; each is a process of its own on the same broker."""
