"""One mail, from a command to the bytes that are handed to a relay."""
