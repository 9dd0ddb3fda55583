"""Mail that comes back: from files, a maildir, an IMAP mailbox, or to a local SMTP listener."""
