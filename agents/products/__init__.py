"""The shop's products as a partition knows them, and what is recommended of them."""
