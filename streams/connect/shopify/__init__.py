"""Shopify: signed webhooks, the Admin API (REST), and what its orders are in our events.

settings       fields of a connection
connector      receives, reads what has changed and all there is
subscriptions  webhooks that are to be there
topics         which webhook is about what
orders         an order, its parcels and refunds
customers      customers and their consent
carts          carts and checkouts
products       products for the feed
values         how Shopify writes sums, times and lines
"""
