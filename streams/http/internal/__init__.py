"""Workers and commands ask the owner of a partition what it keeps, instead of reading a topic.

    signing    who may ask: requests and answers carry an HMAC
    server     what a worker answers, on a port that is not public
    owners     who has a partition: each member of the consumer group publishes its address
    client     asking, bounded, with reading the log as the way out when nobody answers

A member's address stands in its metadata in the consumer group, beside the topics it reads: the
broker keeps it as long as the member is in the group and shows it together with the partitions that
the member has, so address and ownership never disagree, and it needs no topic, no tombstones and no
time to live. On the embedded log, which one process reads, it is a file in the data directory.
"""
