"""The durable queue of one partition: which mails wait and why, and which is next."""
