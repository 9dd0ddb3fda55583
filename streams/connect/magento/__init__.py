"""Magento Open Source and Adobe Commerce: REST is polled, in all editions; Adobe Commerce pushes as
well, by Adobe I/O Events (`io_events`).

    rest        searching, and pages that don't overlap
    orders      orders, shipments, credit memos → events
    people      customers, subscribers of the newsletter → events
    carts       quotes that are no order yet → events
    products    products → the feed
"""
