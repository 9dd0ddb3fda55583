"""The facts' store and its questions: DuckDB, fed exactly once from the topic `facts`.

    facts ─► feeding ─► store (one file, one process) ◄─ questions ◄─ server ◄─ commands
                          │
                          └─► Parquet snapshots, for anybody's warehouse

    tables      what is in the file, and how a fact becomes a row
    store       the file: whole batches with their offsets, erasures, months that age, rewriting
    feeding     follows the topic, off the event loop
    read_only   SQL of a person's own, which can only read, within bounds
    questions/  the key figures, one module for each family
    server      the local port on which commands ask; client: the other end of it
    service     all of it together, in `ritorno insights` or inside a worker

The file is derived: it can be thrown away, and is read again from the log. Nobody else can open it
while a process has it, not even to read, so whoever asks, asks that process.
"""
