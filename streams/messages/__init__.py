"""What the machine says to people in sentences, Italian and English."""
