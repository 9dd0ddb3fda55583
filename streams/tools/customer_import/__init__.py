"""Import of customers, with what they have agreed to and what proves it: rows become events."""
