"""The mailer: its queue on the log, deliveries, the relay, and the way out of the list."""
