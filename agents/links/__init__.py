"""Links: addresses, cart ids and checkout ids that customers and visitors have in common.

everybodys         ids that stand for nobody in particular: `guest`, `0`, `null`
names              how a link is named: a keyed hash of what it is
registration       a customer's side: what it is registered at, and what it tells its links
link_actor         a link's own side: who is registered, and what those are told
address_statements   what was said of an address under whichever id: objections, bounces, mails
statements_elsewhere what that means for whoever is told of it
places             marketing to an address that several have is reserved there
confirmations      how often an address is asked to confirm
orders_elsewhere   what an order under another id means for whoever is told of it
"""
