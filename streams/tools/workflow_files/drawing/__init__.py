"""Drawing workflows, so that a marketer sees at a glance what one does. Read this first.

    picture    a workflow as boxes and the arms of branches, in words of one language
    mermaid    the picture as Mermaid text, for wikis and reviews
    letters    how wide a text is at most, and where it breaks
    layout     where everything stands: steps below each other, the arms of a branch side by side
    svg        the picture as an SVG file that needs nothing else

Workflows are sequences within sequences and nothing leads back, so the layout is a recursion and
nothing has to be searched for.
"""
