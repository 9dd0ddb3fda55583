"""Foreign streams: topics that others own, mapped into `customer-events`, each record once.

mapping_file     `mappings.yaml`, read and compiled, with the line of each mistake
examples         the tests that the file carries
schema_registry  schemas by id, over HTTP, kept
avro, protobuf   values in the registry's wire format
decoding         a record's bytes as its mapping wants them
foreign_topic    reading: a consumer group of its own for each source
offsets          how far each partition is mapped, kept in a topic of ours
written          what a crash has left behind the last of these, found in our own log
mapper           all of it together
resending        dead letters, mapped again
"""
