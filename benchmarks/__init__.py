"""Measurements of the whole product and of its peers: `make bench`, or `python -m benchmarks`."""
