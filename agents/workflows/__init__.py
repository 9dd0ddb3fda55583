"""The workflow engine: a customer's ways through workflows. Read this first.

A workflow is laid out as a flat program when it is read (`program`). A run is one way through it
and waits at one step at a time; that wait is its timer. What happens within one state change, in
the order of the rooms:

    turn        the doors: something has occurred, or a timer is due
    telling     what that means for the runs there are
    entering    which runs it begins; `counting` where several occurrences are asked for
    following   by which version a run goes
    waits       when the step that a run has come to is due
    advancing   doing every step that is due, one after the other
    steps       what each kind of step does; `notifying` tells the shop
    holding     marketing mails that are due, all of the customer's, before the arbitration
    ending      the end of a run, its goal, and taking back mails whose cause is gone
    adopting    runs of a visitor who turned out to be a customer
    recording   each decision, for whoever asks why

Every run ends: a program has no way back, each wait has a last alternative whose time is known
(`program` refuses others), and a mail is held no longer than until it expires.
"""
