"""PrestaShop 1.7, 8 and 9: it sends nothing by itself, so its web service is polled; a module with
an outbox may push the same objects (`receiver`).

    states      what a shop's order states mean
    orders      orders with their histories, credit notes → events
    people      customers, newsletter, requests to the support → events
    carts       carts that are no order yet → events
    products    products → the feed
"""
