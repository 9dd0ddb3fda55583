"""Shop systems: what they tell us by webhooks, what we ask them for, and what it is in our events.

    connections     the file that says which shops there are, and a model for each kind
    connector       what each kind of shop does: receive, read what has changed, set up, check
    facts           what events are called, so that one fact is one event on whichever way it comes
    signatures      who may say something in a shop's name
    shop_api        asking a shop, within its limits and ours
    receivers       `/connect/NAME` on the ingest port
    polled_connector  what shops have in common whose lists are read by time and id
    keyset, walk    their pages, and the span of time that a poll reads
    polling         reading what webhooks have not told
    backfill        reading all there is, as history
    cursors         how far each of these is
    kinds           which kind is made of what: `shopify/`, `woocommerce/`…
    mappings/       topics that others own, mapped into our events

A kind's mapping is pure: a resource of the shop's, parsed, becomes events. A webhook, a poll and a
back-fill go through the same one, so whichever comes first, the others are known already.
"""
