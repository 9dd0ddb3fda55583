"""Which column of a customers' file means what, guessed from the header where nobody says it.

Consent is guessed by heads that can mean nothing else, and only where there is one of them: of two
nobody knows which is meant. `Data iscrizione` is its time beside a column that is about the
newsletter; elsewhere it may be when the account was made. What is not guessed is told in the
report.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from streams.feeds.source_rows import plain_name

TRAITS = ("name", "first_name", "last_name", "phone", "birthday", "locale", "country", "city")
CONSENT = ("consent", "consent_time", "consent_ip", "consent_source", "confirmed_time",
           "unsubscribed_time")  # fmt: skip
FIELDS = ("customer_id", "email", *TRAITS, "tags", "created", *CONSENT)
"""What can be mapped."""

_CALLED: Mapping[str, Sequence[str]] = {
    "customer_id": ("customerid", "customerno", "customernumber", "clientid", "userid",
                    "idcliente", "codicecliente", "cliente", "customer"),
    "email": ("email", "customeremail", "billingemail", "emailaddress", "mail", "indirizzoemail",
              "emailcliente", "postaelettronica"),
    "name": ("customername", "fullname", "billingname", "nomecliente", "nomecompleto",
             "nominativo"),
    "first_name": ("firstname", "billingfirstname", "customerfirstname", "nome"),
    "last_name": ("lastname", "surname", "billinglastname", "customerlastname", "cognome"),
    "phone": ("phone", "phonenumber", "billingphone", "telefono", "cellulare"),
    "birthday": ("birthday", "birthdate", "dateofbirth", "datadinascita", "datanascita",
                 "compleanno"),
    "locale": ("locale", "language", "lingua"),
    "country": ("country", "billingcountry", "countrycode", "paese", "nazione"),
    "city": ("city", "billingcity", "citta"),
    "tags": ("tags", "etichette"),
    "created": ("createdat", "datecreated", "registrationdate", "dateregistered", "customersince",
                "dataregistrazione", "datadiregistrazione", "registratoil", "clientedal",
                "datacreazione"),
    "consent_ip": ("consentip", "optinip", "ipconsenso", "ipiscrizione"),
    "consent_source": ("consentsource", "optinsource", "fonteconsenso", "origineconsenso"),
    "confirmed_time": ("confirmtime", "confirmedat", "doubleoptindate", "dataconferma",
                       "datadiconferma"),
    "unsubscribed_time": ("unsubscribedat", "unsubtime", "unsubscribedate", "datadisiscrizione",
                          "datadidisiscrizione", "disiscrittoil"),
}  # fmt: skip

_CONSENT_CALLED = frozenset(
    {"newsletter", "newslettersubscription", "newslettersubscribed", "newsletteroptin",
     "newsletterconsent", "subscribedtonewsletter", "subscribednewsletter", "acceptsnewsletter",
     "acceptsmarketing", "acceptsemailmarketing", "marketingconsent", "consentmarketing",
     "consenttomarketing", "emailmarketingconsent", "marketingoptin", "emailoptin",
     "iscrittonewsletter", "iscrittaallanewsletter", "iscrittoallanewsletter",
     "iscrizionenewsletter", "iscrizioneallanewsletter", "consensonewsletter",
     "consensoallanewsletter", "consensomarketing", "consensoalmarketing", "consensoemailmarketing",
     "consensopubblicitario", "consensocommerciale", "consensofinimarketing", "accettanewsletter",
     "accettamarketing"}
)  # fmt: skip
_TIME_CALLED = ("consenttime", "consentdate", "consentedat", "optintime", "optindate",
                "newsletterdate", "newsletterdateadd", "newslettersubscriptiondate", "subscribedat",
                "subscriptiondate", "subscribedate", "datesubscribed", "marketingconsentdate",
                "dataconsenso", "datadelconsenso", "consensodata", "dataconsensomarketing",
                "dataconsensonewsletter", "dataiscrizionenewsletter",
                "dataiscrizioneallanewsletter", "iscrittoallanewsletteril")  # fmt: skip
_TIME_BESIDE_A_NEWSLETTER = ("dataiscrizione", "datadiiscrizione", "iscrittodal", "iscrittoil")


def guess(header: Sequence[str], given: Mapping[str, str]) -> dict[str, str]:
    """Return a mapping for the fields that `given` leaves out and whose column is obvious."""
    free = {plain_name(column): column for column in header if column not in given.values()}
    found = dict(given)

    def take(field: str, names: Sequence[str]) -> None:
        name = next((each for each in names if each in free), None)
        if field not in found and name is not None:
            found[field] = free.pop(name)

    consents = [name for name in free if name in _CONSENT_CALLED]
    if len(consents) == 1:
        take("consent", consents)
    if found.get("consent") in header:
        take("consent_time", _TIME_CALLED)
        about = plain_name(found["consent"])
        if "newsletter" in about or "iscri" in about:
            take("consent_time", _TIME_BESIDE_A_NEWSLETTER)
    for field, names in _CALLED.items():
        take(field, names)
    return {field: column for field, column in found.items() if field not in given}
