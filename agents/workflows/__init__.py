"""The workflow engine: a customer's runs through workflows. Read this first.

A workflow is laid out as a flat program when it is read (`agents/definitions/program.py`). A run is
one passage through it and waits at one step at a time; that wait is its timer. What happens within
one state change, in the order of the modules:

    engine      the entry points: something has occurred, or a timer is due
    dispatch    what that means for the runs there are
    enrollment  which runs it begins; `occurrence_counts` where several occurrences are asked for
    versioning  by which version a run goes
    waits       when the step that a run has come to is due
    execution   doing every step that is due, one after the other
    steps       what each kind of step does; `notifications` tells the shop
    send_queue  marketing mails that are due, all of the customer's, before the arbitration
    exits       the end of a run, its goal, and taking back mails whose cause is gone
    merging     runs of a visitor who turned out to be a customer
    audit       each decision, for whoever asks why
    lifecycle   every change of a run: the only one that writes it

Every run ends: a program has no way back, each wait has a last alternative whose time is known
(others are refused when it is read), and a mail is held no longer than until it expires.
"""
