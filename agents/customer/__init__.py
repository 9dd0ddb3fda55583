"""The customer actor: who the customer is, what was agreed, and what follows from it.

Start at `actor.py`.
"""
