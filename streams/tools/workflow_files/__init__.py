"""The files of `workflows/` at a marketer's desk, before anything is published."""
