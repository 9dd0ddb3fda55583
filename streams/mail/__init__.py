"""The mailer: its queue on the log, deliveries, relays, suppressions and returned mail."""
