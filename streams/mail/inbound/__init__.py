"""Mail that comes back: from files, a maildir, an IMAP mailbox, or to a local SMTP listener.

Whatever it came by, a message goes through `intake.py`: it is understood (`agents/mail/bounces/`,
in a process that does nothing else: `reading_process.py`), matched with the mail it is about, and
told to the customer's actor by an event in the log. Only once that is durable is the message taken
off the way it came by: answered with 250, marked as seen. A crash in between brings it again, under
the same event id.
"""
