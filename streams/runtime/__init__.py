"""What a worker is made of: the app, the log, its transports, the state, the ticks.

Start at `worker.py`.
"""
