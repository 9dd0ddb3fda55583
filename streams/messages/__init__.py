"""What the machine says to people in sentences: a file for each language in `locale/`."""
