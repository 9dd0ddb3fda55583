"""Decisions in words, for people who watch or ask, in each language that we speak."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from schemas.decisions import Decision, DecisionKind, Reason

Language = Literal["it", "en"]

_KINDS_EN: Mapping[DecisionKind, str] = {
    "entered": "begins",
    "not_entered": "does not begin",
    "sent": "sends",
    "held": "holds back",
    "skipped": "leaves out",
    "postponed": "puts off",
    "branched": "goes on at",
    "assigned": "draws lots at",
    "acted": "does",
    "exited": "ends",
    "completed": "is complete",
    "converted": "has reached its goal",
    "cancelled": "is cancelled",
}

_KINDS_IT: Mapping[DecisionKind, str] = {
    "entered": "comincia",
    "not_entered": "non comincia",
    "sent": "spedisce",
    "held": "trattiene",
    "skipped": "tralascia",
    "postponed": "rimanda",
    "branched": "prosegue da",
    "assigned": "estrae a sorte",
    "acted": "esegue",
    "exited": "finisce",
    "completed": "è completo",
    "converted": "ha raggiunto il suo scopo",
    "cancelled": "è annullato",
}

_REASONS_EN: Mapping[Reason, str] = {
    "triggered": "this is what it waits for",
    "due": "its time has come",
    "already_entered": "it has run for this one not long ago",
    "cooling_down": "it has run for this customer not long ago",
    "other_of_group": "the customer is in another one like it",
    "out_of_season": "it is not its season",
    "too_many_runs": "the customer is in it too many times already",
    "chain_too_long": "workflows set each other off without end",
    "no_consent": "no consent to marketing",
    "no_address": "no mail address is known",
    "suppressed": "the address no longer takes mail",
    "late": "it is too late for it now",
    "condition": "its condition does not hold",
    "stopped": "what it would ask for has happened already",
    "holdout": "the customer is in the control group",
    "expired": "it has waited too long",
    "quiet_hours": "people rest at this hour",
    "frequency_cap": "the customer has had enough mail for now",
    "fatigue": "the customer does not care for so many mails",
    "mix": "it would be too much advertising",
    "outranked": "another mail was more important",
    "condition_holds": "its condition holds",
    "otherwise": "no other condition holds",
    "hash": "the lot is drawn once and for ever",
    "step": "it is what the step is for",
    "no_coupon": "there is no code left",
    "no_products": "there is no product that it could show",
    "not_live": "the workflow that it would call is not live",
    "outside_window": "it waits for a decent hour",
    "calling": "it waits for a workflow that it has called",
    "last_step": "that was the last step",
    "goal": "what it was for has happened",
    "exit_condition": "the condition for its end holds",
    "exit_step": "its way ends here",
    "address.bounced": "the address bounced",
    "customer.erased": "the customer asked to be forgotten",
    "merged": "the visitor turned out to be a known customer",
    "definition_gone": "the workflow's definition is gone",
    "internal_error": "a defect of ours, see the log",
    "call.logged": "there was a call",
    "cart.changed": "the cart has changed",
    "cart.emptied": "the cart was emptied",
    "cart.product_added": "something was put into the cart",
    "cart.product_removed": "something was taken out of the cart",
    "checkout.started": "the customer is at the checkout",
    "checkout.step_completed": "the customer went on in the checkout",
    "consent.given": "consent was given",
    "consent.withdrawn": "the consent was withdrawn",
    "coupon.applied": "a coupon was used",
    "customer.active": "the customer was there",
    "customer.created": "the customer has registered",
    "customer.data_requested": "the customer asked for the data",
    "customer.erasure_requested": "the customer asked to be forgotten",
    "customer.identified": "it is known now who the customer is",
    "customer.updated": "the customer's data have changed",
    "deal.stage_changed": "the deal is at another stage",
    "list.joined": "the customer has joined a list",
    "list.pending": "the customer is to confirm a subscription",
    "list.left": "the customer has left the list",
    "list.subscribed": "the customer has subscribed",
    "list.unsubscribed": "the customer has unsubscribed from a list",
    "mail.bounced": "a mail bounced",
    "mail.clicked": "the customer clicked in a mail",
    "mail.complained": "the customer complained of a mail",
    "mail.deferred": "a mail was put off by the customer's provider",
    "mail.delivered": "a mail was delivered",
    "mail.failed": "a mail could not be sent",
    "mail.held": "a mail was held back",
    "mail.opened": "a mail was opened",
    "mail.rejected": "a mail could not be made",
    "mail.sent": "a mail was sent",
    "mail.skipped": "a mail was not sent",
    "mail.unsubscribed": "the customer wants no more mails",
    "order.cancelled": "the order was cancelled",
    "order.completed": "the customer has bought",
    "order.delivered": "the parcel has arrived",
    "order.refunded": "the order was refunded",
    "order.shipped": "the parcel is on its way",
    "order.updated": "there is news of the order",
    "page.viewed": "the customer looked at a page",
    "product.reviewed": "the product was reviewed",
    "product.stocked": "a product was bought that will be used up",
    "product.viewed": "the customer looked at a product",
    "product_list.viewed": "the customer looked at a list of products",
    "products.searched": "the customer searched for something",
    "support.requested": "the customer asked for help",
    "survey.answered": "the customer answered a survey",
    "wishlist.added": "something was put on the wish list",
}

_REASONS_IT: Mapping[Reason, str] = {
    "triggered": "è ciò che aspettava",
    "due": "è arrivato il suo momento",
    "already_entered": "c'è già stato da poco per lo stesso motivo",
    "cooling_down": "per questo cliente è passato troppo poco tempo",
    "other_of_group": "il cliente è già in un altro dello stesso gruppo",
    "out_of_season": "non è la sua stagione",
    "too_many_runs": "il cliente ci si trova già troppe volte",
    "chain_too_long": "i workflow si avviano a vicenda senza fine",
    "no_consent": "manca il consenso al marketing",
    "no_address": "non si conosce un indirizzo e-mail",
    "suppressed": "l'indirizzo non accetta più posta",
    "late": "ormai è troppo tardi",
    "condition": "la sua condizione non è vera",
    "stopped": "ciò che chiederebbe è già successo",
    "holdout": "il cliente è nel gruppo di controllo",
    "expired": "ha aspettato troppo",
    "quiet_hours": "a quest'ora si lascia in pace la gente",
    "frequency_cap": "per ora il cliente ha ricevuto abbastanza posta",
    "fatigue": "il cliente non gradisce tanta posta",
    "mix": "sarebbe troppa pubblicità",
    "outranked": "un'altra mail era più importante",
    "condition_holds": "la sua condizione è vera",
    "otherwise": "nessun'altra condizione è vera",
    "hash": "la sorte è decisa una volta per tutte",
    "step": "è il compito del passo",
    "no_coupon": "non ci sono più codici",
    "no_products": "non c'è un prodotto da mostrare",
    "not_live": "il workflow da chiamare non è attivo",
    "outside_window": "aspetta un'ora adatta",
    "calling": "aspetta un workflow che ha chiamato",
    "last_step": "era l'ultimo passo",
    "goal": "è successo ciò a cui mirava",
    "exit_condition": "è vera la condizione che lo fa finire",
    "exit_step": "la sua strada finisce qui",
    "address.bounced": "l'indirizzo ha respinto la posta",
    "customer.erased": "il cliente ha chiesto di essere dimenticato",
    "merged": "il visitatore è risultato un cliente già noto",
    "definition_gone": "la definizione del workflow non c'è più",
    "internal_error": "un nostro difetto, vedi il log",
    "call.logged": "c'è stata una telefonata",
    "cart.changed": "il carrello è cambiato",
    "cart.emptied": "il carrello è stato svuotato",
    "cart.product_added": "qualcosa è stato messo nel carrello",
    "cart.product_removed": "qualcosa è stato tolto dal carrello",
    "checkout.started": "il cliente è alla cassa",
    "checkout.step_completed": "il cliente è andato avanti alla cassa",
    "consent.given": "il consenso è stato dato",
    "consent.withdrawn": "il consenso è stato ritirato",
    "coupon.applied": "è stato usato un codice",
    "customer.active": "il cliente si è fatto vivo",
    "customer.created": "il cliente si è registrato",
    "customer.data_requested": "il cliente ha chiesto i suoi dati",
    "customer.erasure_requested": "il cliente ha chiesto di essere dimenticato",
    "customer.identified": "ora si sa chi è il cliente",
    "customer.updated": "i dati del cliente sono cambiati",
    "deal.stage_changed": "la trattativa è a un altro punto",
    "list.joined": "il cliente è entrato in una lista",
    "list.pending": "il cliente deve confermare un'iscrizione",
    "list.left": "il cliente ha lasciato la lista",
    "list.subscribed": "il cliente si è iscritto",
    "list.unsubscribed": "il cliente si è cancellato da una lista",
    "mail.bounced": "una mail è stata respinta",
    "mail.clicked": "il cliente ha cliccato in una mail",
    "mail.complained": "il cliente si è lamentato di una mail",
    "mail.deferred": "il provider del cliente ha rimandato una mail",
    "mail.delivered": "una mail è stata consegnata",
    "mail.failed": "una mail non si è potuta spedire",
    "mail.held": "una mail è stata trattenuta",
    "mail.opened": "una mail è stata aperta",
    "mail.rejected": "una mail non si è potuta comporre",
    "mail.sent": "una mail è partita",
    "mail.skipped": "una mail non è stata spedita",
    "mail.unsubscribed": "il cliente non vuole più mail",
    "order.cancelled": "l'ordine è stato annullato",
    "order.completed": "il cliente ha comprato",
    "order.delivered": "il pacco è arrivato",
    "order.refunded": "l'ordine è stato rimborsato",
    "order.shipped": "il pacco è in viaggio",
    "order.updated": "ci sono novità sull'ordine",
    "page.viewed": "il cliente ha guardato una pagina",
    "product.reviewed": "il prodotto è stato recensito",
    "product.stocked": "è stato comprato un prodotto che si consuma",
    "product.viewed": "il cliente ha guardato un prodotto",
    "product_list.viewed": "il cliente ha guardato un elenco di prodotti",
    "products.searched": "il cliente ha cercato qualcosa",
    "support.requested": "il cliente ha chiesto aiuto",
    "survey.answered": "il cliente ha risposto a un sondaggio",
    "wishlist.added": "qualcosa è stato messo nella lista dei desideri",
}

_OUTCOMES_EN: Mapping[str, str] = {
    "cancelled": "taken back before it left",
    "expired": "too old when the relay was back",
    "invalid_address": "the address is none",
    "smtputf8_unsupported": "the relay can't write to this address",
}

_OUTCOMES_IT: Mapping[str, str] = {
    "cancelled": "ritirata prima che partisse",
    "expired": "troppo vecchia quando il server è tornato",
    "invalid_address": "l'indirizzo non è valido",
    "smtputf8_unsupported": "il server non sa scrivere a questo indirizzo",
}

KINDS: Mapping[Language, Mapping[DecisionKind, str]] = {"en": _KINDS_EN, "it": _KINDS_IT}
REASONS: Mapping[Language, Mapping[Reason, str]] = {"en": _REASONS_EN, "it": _REASONS_IT}
OUTCOMES: Mapping[Language, Mapping[str, str]] = {"en": _OUTCOMES_EN, "it": _OUTCOMES_IT}
"""Why a mail was skipped."""


_LIMITS = ("frequency_cap", "fatigue", "mix")
_LIMITS_IT = (
    (re.compile(r"\bper day\b"), "al giorno"),
    (re.compile(r"\bper (\w+)"), r"in \1"),
    (re.compile(r"\bof\b"), "di"),
    (re.compile(r"\bignored\b"), "ignorate"),
    (re.compile(r"^asked for less\b"), "ha chiesto meno posta"),
    (re.compile(r"^left a list\b"), "ha lasciato una lista"),
)
"""How `agents/sending/limits.py` puts its limits, and how that is said in Italian."""


def sentence(decision: Decision, title: str, language: Language = "en") -> str:
    """Return what was decided and why, in a line."""
    what = f" {decision.step}" if decision.step else ""
    reason = REASONS[language][decision.reason]
    return f"{title} {KINDS[language][decision.decision]}{what}: {reason}"


def with_detail(decision: Decision, title: str, language: Language) -> str:
    """The same, with what it was exactly: which limit, which of two mails, what held it."""
    said, detail = sentence(decision, title, language), decision.detail
    if not detail:
        return said
    if decision.reason == "expired":
        return f"{said} ({REASONS[language].get(detail, detail)})"
    if language == "it" and decision.reason in _LIMITS:
        for pattern, words in _LIMITS_IT:
            detail = pattern.sub(words, detail)
    return f"{said} ({detail})"
