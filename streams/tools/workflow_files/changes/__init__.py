"""What publishing would change, before it is published. Read this first.

    alteration   one thing that would be otherwise, with its old and its new words
    values       any two definitions of a kind, field by field
    steps        the steps of two versions of a workflow: added, removed, moved, otherwise
    comparing    all definitions that are live against all that would be
    in_flight    the runs that there are, and what would become of each
    report       all of it in lines for a person

Nothing here reads or writes: `streams/tools/publish_plan.py` brings what the log holds.
"""
