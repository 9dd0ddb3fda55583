"""One HTTP server for every port, whoever knocks there: what one stranger does costs the others
nothing, and the worker little.

    http_server   an application on a port: what all answers share, and what a request may cost
    connection    one connection: time for a whole request, our own answer to what is no HTTP
    acceptor      takes connections, as many as there is room for
    proxies       whose request it is, by what our own proxies say
    forms         what was posted, or that it can't be read
    counts        what was refused, and why

Of connections there are so many at most. When all places are taken, the one that has been waiting
for (the rest of) a request for longest makes room: who holds connections open keeps nobody out.
"""
