"""One partition of the customers' log: its clock, its timers, its actors, and what it does about
failures.

Start at `partition.py`.
"""
