"""The published contract: AsyncAPI of what travels, and what a newer one takes away."""
