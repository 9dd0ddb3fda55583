"""Whether a marketing mail may go now, on what legal basis, and what the mailer is told to send."""
