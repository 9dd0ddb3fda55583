"""What a person may ask of the shop: a copy of the data (`collecting`, `copies`), and to be erased.

An erasure is an event like any other; the actor forgets. Beyond its state lie the log and the files
of the stores, and there the broker decides what is possible:

    embedded log   `erasing` overwrites the person's records in place; times and offsets stay
    Kafka          single records can't be removed: they go with their topic's retention, and the
                   older states in changelogs with compaction (`docs/privacy.md` says how long)
    local stores   older values are compacted away at once, on both
"""
