"""What shops, pages and other systems send by HTTP: a port of its own, in a worker or alone.

    server         the port: what all answers share, and who else has routes on it
    endpoints      what answers there: Segment's calls and CloudEvents
    access         who sends, and whether they may: keys, origins, rates
    keys           the file of write keys; `keys_file` reads it again, `rates` counts what comes
    bodies         what is posted, as the JSON that it is
    batch          a request read call by call: events, and what isn't taken
    segment_calls  Segment's calls, and `cloud_events` CloudEvents
    public_key     what becomes of what pages say: a visitor says it, of itself
    bots           programs that open pages
    intake         appends what many requests bring, and says when it is durable

Nothing is kept here between two requests that another process would need, so as many of them as one
likes stand behind a balancer.
"""
