"""Import of order history: a shop's order files become events."""
