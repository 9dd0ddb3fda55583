"""`ritorno worker --processes N`: N members of the consumer group under one command.

    shares       what each process gets of the settings: an id, a directory and ports of its own
    child        one process: a worker that tells its parent where its admin port is
    supervisor   starts them, starts again who dies, stops all
    board        the one admin port that shows all

All listen on the public port together (SO_REUSEPORT): the kernel gives each connection to one of
them, and none to who has died. Whoever gets a customer of another asks that one
(`streams/http/internal/`). Messages that come back are read by the first process.
"""
