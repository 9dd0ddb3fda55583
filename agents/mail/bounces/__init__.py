"""What comes back by mail: bounces, complaints, automatic answers. Bytes in, verdicts out.

    message ─► complaints.py   RFC 5965, and those who never heard of it
            ─► reports.py      RFC 3464, also where the MIME around it is broken
            ─► autoreplies.py  RFC 3834, and the subjects of those who never heard of it
            ─► notices.py      what mail servers write for people; `flufl.bounce` knows more of them

`classify` in `reading.py` asks them in this order. What a refusal means is decided in one place,
`reasons.py`, by its words before its codes: servers answer 5.1.1 for a full mailbox and 5.7.1 for
an unknown user, but few call a full mailbox "user unknown". What a relay replies while a mail goes
out (`agents/mail/replies.py`) is read there, too: the same words never mean two things.
"""
