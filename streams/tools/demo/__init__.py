"""The demo: a seeded shop, a stepped clock and the real worker, all in one process."""
