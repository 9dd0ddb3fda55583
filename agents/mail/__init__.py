"""The mailer's decisions: what is sent next, when again, what a reply means, how a mail looks.

Pure: instants come in as arguments, and nothing here touches a network or a disk.
`streams/mail/mailer.py` brings the log, `streams/mail/smtp.py` the relay.
"""
