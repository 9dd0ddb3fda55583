"""Mapping: what the records of topics that others own are in our words.

scope        what an expression may name
expressions  expressions in CEL over a record
functions    what they may call besides CEL's own
envelopes    Debezium, its outbox, CloudEvents: what of a record is the message
connect_types  what Kafka Connect writes as bytes and numbers
properties   the tree of an event's properties
mapping      all of it together: a record in, events out
"""
