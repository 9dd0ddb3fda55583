"""What shops, pages and other systems send by HTTP: a port of its own, in a worker or alone.

    server      the port: what all answers share, and who else has routes on it
    intake      appends what many requests bring, and says when it is durable

Nothing is kept here between two requests that another process would need, so as many of them as one
likes stand behind a balancer.
"""
