"""What each form of message says."""

from __future__ import annotations

from typing import NamedTuple

from tests.mail.bounces import messages as m
from tests.mail.bounces.messages import away, feedback, notice, report


class Shape(NamedTuple):
    """A message and what it says."""

    name: str
    text: str
    kind: str
    reason: str
    address: str = "anna.verdi@cliente.example"

    @property
    def raw(self) -> bytes:
        """The message as it arrives."""
        return self.text.lstrip("\n").encode()


SHAPES = (
    Shape(
        "user unknown",
        report(
            "host said: 550 5.1.1 <…>: User unknown",
            status="5.1.1",
            diagnostic="550 5.1.1 <anna.verdi@cliente.example>: User unknown",
        ),
        "hard",
        "no_such_user",
    ),
    Shape("only a status", report("unknown error", status="5.1.1"), "hard", "no_such_user"),
    Shape(
        "the domain is gone",
        report(
            "Host or domain name not found. Name service error for "
            "name=cliente.example type=A: Host not found",
            status="5.4.4",
        ),
        "hard",
        "no_such_domain",
    ),
    Shape(
        "disabled",
        report(
            "refused", diagnostic="550 5.2.1 The email account that you tried to reach is disabled"
        ),
        "hard",
        "disabled",
    ),
    Shape(
        "words before codes",
        report(
            "refused",
            status="5.1.1",
            diagnostic="552 sorry, mailbox is over quota temporarily (#5.1.1)",
        ),
        "soft",
        "mailbox_full",
    ),
    Shape(
        "unknown with the code of a policy",
        report(
            "refused", status="5.7.1", diagnostic="553 Invalid recipient anna.verdi@cliente.example"
        ),
        "hard",
        "no_such_user",
    ),
    Shape(
        "temporary is never hard",
        report("gave up", status="4.1.1", diagnostic="450 4.1.1 User unknown, unverified address"),
        "soft",
        "unspecified",
    ),
    Shape(
        "gave up",
        report("connect to mx.cliente.example[192.0.2.9]:25: Connection timed out", status="4.4.1"),
        "soft",
        "unreachable",
    ),
    Shape("no reason at all", report("", status="5.0.0"), "soft", "unspecified"),
    Shape(
        "a bare 550",
        report("refused (in reply to end of DATA)", diagnostic="550 Protocol violation"),
        "blocked",
        "policy",
    ),
    Shape(
        "listed",
        report(
            "refused",
            status="5.7.1",
            diagnostic="554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using "
            "zen.spamhaus.org",
        ),
        "blocked",
        "reputation",
    ),
    Shape(
        "DMARC",
        report(
            "refused",
            status="5.7.26",
            diagnostic="550-5.7.26 Unauthenticated email from negozio.example is not accepted "
            "due to domain's DMARC policy",
        ),
        "blocked",
        "authentication",
    ),
    Shape(
        "judged spam",
        report("refused", status="5.7.1", diagnostic="554 5.7.1 Messaggio rifiutato: spam"),
        "blocked",
        "spam",
    ),
    Shape(
        "our sender",
        report(
            "refused (in reply to MAIL FROM command)",
            status="5.1.0",
            diagnostic="550 5.1.0 No such user here",
        ),
        "blocked",
        "sender",
    ),
    Shape(
        "too fast",
        report(
            "refused",
            status="4.7.0",
            diagnostic="421 4.7.0 [TS01] Messages from 192.0.2.1 temporarily deferred due to "
            "unexpected volume",
        ),
        "throttled",
        "rate",
    ),
    Shape(
        "too large",
        report("refused", status="5.3.4", diagnostic="552 5.3.4 Message size exceeds fixed limit"),
        "content",
        "too_large",
    ),
    Shape("a virus", report("refused", diagnostic="554 5.7.1 Virus found"), "content", "harmful"),
    Shape(
        "no failure yet",
        report(
            "connect to mx.cliente.example: Connection refused", action="delayed", status="4.4.1"
        ),
        "delayed",
        "unreachable",
    ),
    Shape(
        "a receipt",
        report("250 2.0.0 Ok", action="delivered", status="2.0.0"),
        "delivered",
        "delivered",
    ),
    Shape("broken MIME", m.BROKEN_MIME, "hard", "no_such_user"),
    Shape("Gmail, in Italian", m.GMAIL, "hard", "no_such_domain"),
    Shape("Exchange without a report", m.EXCHANGE, "hard", "no_such_user"),
    Shape("HTML alone", m.HTML_ONLY, "hard", "no_such_user"),
    Shape(
        "qmail",
        notice(
            m.QMAIL.format(reply="550 5.1.1 sorry, no mailbox here by that name"),
            subject="failure notice",
        ),
        "hard",
        "no_such_user",
    ),
    Shape(
        "qmail, blocked",
        notice(
            m.QMAIL.format(reply="550 5.7.606 Access denied, banned sending IP [192.0.2.1]"),
            subject="failure notice",
        ),
        "blocked",
        "reputation",
    ),
    Shape(
        "Exim",
        notice(
            m.EXIM.format(stage="RCPT TO:<anna.verdi@cliente.example>", reply="550 No such user"),
            subject="Mail delivery failed: returning message to sender",
        ),
        "hard",
        "no_such_user",
    ),
    Shape(
        "Exim, our sender",
        notice(
            m.EXIM.format(stage="MAIL FROM:<rimbalzi@negozio.example>", reply="550 No such domain"),
            subject="Mail delivery failed: returning message to sender",
        ),
        "blocked",
        "sender",
    ),
    Shape(
        "Exim, delayed",
        notice(
            "The message has not yet been delivered to the following address:\n"
            "\n  anna.verdi@cliente.example\n\nDelivery attempts will continue to be made for some "
            "time.",
            subject="Warning: message 1abc-def delayed 24 hours",
        ),
        "delayed",
        "unspecified",
    ),
    Shape(
        "Italian, full",
        notice(
            "Il messaggio inviato non è stato recapitato.\n\nDestinatario: "
            "anna.verdi@cliente.example\nMotivo: la casella del destinatario è piena\n",
            subject="Mancata consegna",
            sender="postmaster@provider.example",
        ),
        "soft",
        "mailbox_full",
    ),
    Shape(
        "Italian, unknown",
        notice(
            "Non è stato possibile consegnare il messaggio a:\n\n"
            "<anna.verdi@cliente.example>: destinatario sconosciuto\n\n"
            "--- Messaggio originale ---\n",
            subject="Messaggio non consegnato",
            sender="postmaster@provider.example",
        ),
        "hard",
        "no_such_user",
    ),
    Shape(
        "certified mail",
        notice(
            'Il giorno 02/03/2026 nel messaggio "Il tuo carrello" '
            'proveniente da "rimbalzi@negozio.example" e destinato all\'utente '
            '"anna.verdi@cliente.example" è stato rilevato un errore: 5.1.1 - indirizzo non valido',
            subject="AVVISO DI MANCATA CONSEGNA: Il tuo carrello",
            sender="posta-certificata@pec.example",
        ),
        "hard",
        "no_such_user",
    ),
    Shape("SES, permanent", m.SES % ("Bounce", m.SES_BOUNCE % "Permanent"), "hard", "no_such_user"),
    Shape("SES, transient", m.SES % ("Bounce", m.SES_BOUNCE % "Transient"), "soft", "unspecified"),
    Shape("SES, complaint", m.SES % ("Complaint", m.SES_COMPLAINT), "complaint", "abuse"),
    Shape(
        "abuse",
        feedback("Feedback-Type: abuse\nOriginal-Rcpt-To: <anna.verdi@cliente.example>"),
        "complaint",
        "abuse",
    ),
    Shape(
        "abuse, address only in the mail", feedback("Feedback-Type: abuse"), "complaint", "abuse"
    ),
    Shape(
        "abuse, address hidden",
        feedback("Feedback-Type: abuse", returned="To: undisclosed"),
        "complaint",
        "abuse",
        "",
    ),
    Shape("opt-out", feedback("Feedback-Type: opt-out"), "complaint", "opt_out"),
    Shape(
        "a failed signature is no complaint",
        feedback("Feedback-Type: auth-failure"),
        "unknown",
        "other_feedback",
    ),
    Shape(
        "not spam is no complaint", feedback("Feedback-Type: not-spam"), "unknown", "other_feedback"
    ),
    Shape("Hotmail", m.HOTMAIL, "complaint", "abuse"),
    Shape(
        "away",
        away("Risposta automatica: Il tuo carrello", "Sono in ferie fino al 15."),
        "autoreply",
        "away",
    ),
    Shape(
        "away, undeclared",
        away("Fuori ufficio", "Torno lunedì.", "X-Mailer: Posta"),
        "autoreply",
        "away",
    ),
    Shape(
        "a program",
        away("Re: Il tuo carrello", "Abbiamo ricevuto la tua richiesta."),
        "autoreply",
        "automatic",
    ),
    Shape(
        "a person",
        away("Re: Il tuo carrello", "Grazie! Il mio account non esiste più.", "X: y"),
        "unknown",
        "not_a_report",
        "",
    ),
    Shape(
        "a person who complains of a delivery",
        away("Re: delivery problem", "My parcel could not be delivered.", "X: y"),
        "unknown",
        "not_a_report",
        "",
    ),
    Shape("nothing", "", "unknown", "not_a_report", ""),
)
