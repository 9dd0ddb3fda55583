"""What a shop has published, compiled: workflows, scores, segments, and what is live of them.

Nothing here knows the context of an actor, which holds all of it.
"""
