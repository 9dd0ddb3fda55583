"""What operators ask: metrics, the doctor, dead letters, a customer's timeline, privacy."""
