"""WooCommerce: signed webhooks, the REST API (v3), and what its orders are in our events.

settings    fields of a connection
connector   receives, reads what has changed and all there is, sets up and checks
webhooks    the webhooks that are to be there, and switching them on again
orders      an order and what was given back of it
customers   customers and the consent that a plugin notes
products    products for the feed
values      how WooCommerce writes sums, times and lines
"""
