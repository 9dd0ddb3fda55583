"""What is kept: stores, their changelog, and how one becomes the other again."""
