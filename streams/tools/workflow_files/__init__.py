"""Tools for the files of `workflows/`, before anything is published."""
