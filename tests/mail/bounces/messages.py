"""Messages that come back, written by the shape of real ones; nobody of these exists."""

from __future__ import annotations


def report(
    said: str, *, action: str = "failed", status: str = "5.0.0", diagnostic: str = ""
) -> str:
    """A delivery report as Postfix writes it."""
    code = f"Diagnostic-Code: smtp; {diagnostic}\n" if diagnostic else ""
    return f"""
Return-Path: <>
From: MAILER-DAEMON@relay.example (Mail Delivery System)
To: rimbalzi@negozio.example
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b1"

--b1
Content-Type: text/plain; charset=us-ascii

This is the mail system at host relay.example.

I'm sorry to have to inform you that your message could not
be delivered to one or more recipients. It's attached below.

<anna.verdi@cliente.example>: {said}

--b1
Content-Type: message/delivery-status

Reporting-MTA: dns; relay.example
Arrival-Date: Mon,  2 Mar 2026 10:00:00 +0100 (CET)

Final-Recipient: rfc822; anna.verdi@Cliente.Example
Original-Recipient: rfc822;anna.verdi@Cliente.Example
Action: {action}
Status: {status}
{code}
--b1
Content-Type: message/rfc822

Return-Path: <gettone@negozio.example>
Message-ID: <abc@negozio.example>
X-Ritorno-Mail: tabc
Feedback-ID: carrello:promemoria:marketing:negozio
List-Unsubscribe: <https://negozio.example/u/k.t.s>
From: Il negozio <negozio@negozio.example>
To: Anna Verdi <anna.verdi@cliente.example>
Subject: Il tuo carrello

user unknown, spam, quota exceeded: words of the mail itself say nothing.

--b1--
"""


def notice(text: str, *, subject: str, sender: str = "MAILER-DAEMON@relay.example") -> str:
    """A notice in plain text."""
    return f"""
Return-Path: <>
From: {sender}
To: rimbalzi@negozio.example
Subject: {subject}
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

{text}
"""


def feedback(fields: str, *, returned: str = "To: anna.verdi@cliente.example") -> str:
    """A feedback report (RFC 5965)."""
    return f"""
From: feedback@provider.example
To: fbl@negozio.example
Subject: FW: Il tuo carrello
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="b2"

--b2
Content-Type: text/plain

This is an email abuse report for an email message received from IP 192.0.2.1.

--b2
Content-Type: message/feedback-report

{fields}
User-Agent: Loop/1.0
Version: 1

--b2
Content-Type: message/rfc822

Message-ID: <abc@negozio.example>
From: negozio@negozio.example
{returned}
Subject: Il tuo carrello

Ciao!

--b2--
"""


QMAIL = """Hi. This is the qmail-send program at relay.example.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<anna.verdi@cliente.example>:
192.0.2.9 does not like recipient.
Remote host said: {reply}
Giving up on 192.0.2.9.

--- Below this line is a copy of the message.

Return-Path: <rimbalzi@negozio.example>
Message-ID: <abc@negozio.example>
Subject: user unknown
"""

EXIM = """This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

  anna.verdi@cliente.example
    host mx.cliente.example [192.0.2.9]
    SMTP error from remote mail server after {stage}:
    {reply}

------ This is a copy of the message, including all the headers. ------

Return-path: <rimbalzi@negozio.example>
Message-Id: <abc@negozio.example>
"""

EXCHANGE = """
From: System Administrator <postmaster@cliente.example>
To: rimbalzi@negozio.example
Subject: Non recapitabile: Il tuo carrello
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="b3"

--b3
Content-Type: text/plain; charset=utf-8

Your message

  To:      anna.verdi@cliente.example
  Subject: Il tuo carrello
  Sent:    Mon, 2 Mar 2026 10:00:00 +0100

did not reach the following recipient(s):

anna.verdi@cliente.example on Mon, 2 Mar 2026 10:00:05 +0100
    The recipient name is not recognized
    The MTS-ID of the original message is: c=it;a= ;p=cliente

--b3
Content-Type: message/rfc822

Message-ID: <abc@negozio.example>
Subject: Il tuo carrello

--b3--
"""

GMAIL = """
Return-Path: <>
From: Mail Delivery Subsystem <mailer-daemon@googlemail.com>
To: rimbalzi@negozio.example
Auto-Submitted: auto-replied
Subject: Delivery Status Notification (Failure)
X-Failed-Recipients: anna.verdi@cliente.example
MIME-Version: 1.0
Content-Type: multipart/report; boundary="b4"; report-type=delivery-status

--b4
Content-Type: multipart/related; boundary="b5"

--b5
Content-Type: multipart/alternative; boundary="b6"

--b6
Content-Type: text/plain; charset="UTF-8"

** Indirizzo non trovato **

Il tuo messaggio non è stato recapitato a anna.verdi@cliente.example perché non è stato possibile
trovare il dominio cliente.example.

--b6
Content-Type: text/html; charset="UTF-8"

<html><style>.spam { color: red }</style><p>Indirizzo non trovato</p></html>

--b6--

--b5
Content-Type: image/png
Content-Transfer-Encoding: base64

iVBORw0KGgo=

--b5--

--b4
Content-Type: message/delivery-status

Reporting-MTA: dns; googlemail.com
X-Original-Message-ID: <abc@negozio.example>

Final-Recipient: rfc822; anna.verdi@cliente.example
Action: failed
Status: 4.0.0
Diagnostic-Code: smtp; DNS Error: 1 DNS type 'mx' lookup of cliente.example
 responded with code NXDOMAIN
 Domain name not found: cliente.example

--b4
Content-Type: message/rfc822

Message-ID: <abc@negozio.example>

--b4--
"""

HOTMAIL = """
From: staff@hotmail.com
To: fbl@negozio.example
Subject: complaint about message from 192.0.2.1
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="b7"

--b7
Content-Type: message/rfc822

X-HmXmrOriginalRecipient: anna.verdi@cliente.example
Message-ID: <abc@negozio.example>
To: qualcun.altro@cliente.example
Subject: Il tuo carrello

--b7--
"""

HTML_ONLY = """
Return-Path: <>
From: Postmaster <postmaster@cliente.example>
To: rimbalzi@negozio.example
Subject: Undeliverable: Il tuo carrello
Content-Type: text/html; charset=utf-8

<html><head><title>spam</title><style>p { quota: exceeded }</style></head><body><p>Delivery has
failed to these recipients:</p><p>
<a href="mailto:anna.verdi@cliente.example">anna.verdi@cliente.example</a></p>
<p>550 5.1.1 RESOLVER.ADR.RecipNotFound; not found</p></body></html>
"""

SES = r"""
From: Notifiche <no-reply@sns.amazonaws.com>
To: rimbalzi@negozio.example
Subject: AWS Notification Message
X-Amz-Sns-Message-Id: 1
Content-Type: text/plain; charset=UTF-8

{
  "Type" : "Notification",
  "Message" : "{\"notificationType\":\"%s\",%s,\"mail\":{\"source\":\"rimbalzi@negozio.example\",!
 \"headers\":[{\"name\":\"Message-ID\",\"value\":\"<abc@negozio.example>\"}]}}"
}
"""
SES_BOUNCE = (
    r"\"bounce\":{\"bounceType\":\"%s\",\"bounceSubType\":\"General\",\"bouncedRecipients\":"
    r"[{\"emailAddress\":\"anna.verdi@cliente.example\",\"status\":\"5.1.1\","
    r"\"diagnosticCode\":\"smtp; 550 5.1.1 user unknown\"}]}"
)
SES_COMPLAINT = (
    r"\"complaint\":{\"complainedRecipients\":[{\"emailAddress\":\"anna.verdi@cliente.example\"}]}"
)

BROKEN_MIME = report("host said: 550 5.1.1 User unknown", status="5.1.1").replace("--b1", "--zz")


def away(subject: str, text: str, header: str = "Auto-Submitted: auto-replied") -> str:
    """Somebody's automatic answer."""
    return f"""
From: Anna Verdi <anna.verdi@cliente.example>
To: rimbalzi@negozio.example
Subject: {subject}
{header}
Content-Type: text/plain; charset=utf-8

{text}
"""
