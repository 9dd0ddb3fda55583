"""A shop's past: order files become events."""
