"""The words of the public pages, and the version by which evidence names them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import astuple, dataclass

VERSION_DIGITS = 10
"""Of the hash of all words of a language."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageMessages:
    """All pages' words in one language."""

    language: str
    language_name: str
    other_language: str
    yes: str
    no: str

    unsubscribe: str
    unsubscribe_text: str
    unsubscribe_button: str
    unsubscribe_choose: str
    unsubscribed: str
    unsubscribed_text: str

    preferences: str
    preferences_text: str
    lists: str
    list_left: str
    consents: str
    marketing: str
    marketing_text: str
    profiling: str
    profiling_text: str
    tracking: str
    tracking_text: str
    mails: str
    frequency: str
    frequency_text: str
    normal: str
    less: str
    mail_language: str
    save: str
    saved: str
    saved_text: str
    nothing_changed: str
    state_unknown: str
    nobody: str
    nobody_text: str

    own_data: str
    own_data_text: str
    copy: str
    copy_text: str
    copy_button: str
    copied: str
    copied_text: str
    erase: str
    erase_text: str
    erase_understood: str
    erase_button: str
    erased: str
    erased_text: str
    back: str
    too_old: str
    too_old_text: str

    confirm: str
    confirm_text: str
    confirm_button: str
    confirmed: str
    confirmed_text: str
    confirm_expired: str
    confirm_expired_text: str

    your_answer: str
    answer_button: str
    answered: str
    answered_text: str

    view_gone: str
    view_gone_text: str
    link_gone: str
    link_gone_text: str
    to_the_shop: str

    unknown: str
    unknown_text: str
    not_understood: str
    not_understood_text: str
    later: str
    later_text: str
    help: str

    @property
    def version(self) -> str:
        """Names exactly these words: another word anywhere is another version."""
        text = "\0".join(astuple(self))
        return f"{self.language}-{hashlib.sha256(text.encode()).hexdigest()[:VERSION_DIGITS]}"


ITALIAN = PageMessages(
    language="it",
    language_name="Italiano",
    other_language="Read in English",
    yes="Sì",
    no="No",
    unsubscribe="Vuoi annullare l’iscrizione?",
    unsubscribe_text="Non ti manderemo più comunicazioni promozionali. "
    "Continuerai a ricevere le conferme dei tuoi ordini.",
    unsubscribe_button="Annulla l’iscrizione",
    unsubscribe_choose="Preferisco scegliere che cosa ricevere",
    unsubscribed="Iscrizione annullata",
    unsubscribed_text="Non riceverai più le nostre comunicazioni promozionali. "
    "Puoi chiudere questa pagina.",
    preferences="Le tue preferenze",
    preferences_text="Scegli che cosa vuoi ricevere da noi. Puoi cambiare idea quando vuoi.",
    lists="Le tue liste",
    list_left="Non la ricevi",
    consents="I tuoi consensi",
    marketing="Comunicazioni promozionali",
    marketing_text="Novità, consigli e offerte per email. Le conferme dei tuoi ordini arrivano "
    "comunque.",
    profiling="Contenuti su misura",
    profiling_text="Usiamo gli acquisti e le pagine che guardi per proporti ciò che può "
    "interessarti davvero.",
    tracking="Letture e clic",
    tracking_text="Sapere se apri le nostre email e quali link segui. Senza il tuo consenso li "
    "contiamo soltanto, senza sapere di chi sono.",
    mails="Le email",
    frequency="Quanto spesso?",
    frequency_text="Vale per le comunicazioni promozionali.",
    normal="Come adesso",
    less="Più di rado",
    mail_language="In quale lingua?",
    save="Salva le preferenze",
    saved="Preferenze salvate",
    saved_text="Da adesso vale quello che vedi qui sotto.",
    nothing_changed="Non hai cambiato nulla: resta tutto com’era.",
    state_unknown="In questo momento non riusciamo a mostrarti le scelte attuali. "
    "Cambia soltanto ciò che vuoi: il resto rimane com’è.",
    nobody="Non abbiamo dati su di te",
    nobody_text="Non conserviamo più nulla che ti riguardi in questo sistema, quindi non c’è nulla "
    "da scegliere.",
    own_data="I tuoi dati",
    own_data_text="Sono tuoi: puoi chiederne una copia oppure la cancellazione.",
    copy="Vuoi una copia dei tuoi dati?",
    copy_text="Prepareremo una copia di tutto ciò che sappiamo di te e te la invieremo "
    "all’indirizzo che conosciamo, entro un mese.",
    copy_button="Chiedi una copia",
    copied="Richiesta ricevuta",
    copied_text="Ti risponderemo entro un mese all’indirizzo che conosciamo.",
    erase="Vuoi che ti dimentichiamo?",
    erase_text="Cancelleremo profilo, carrello, storia degli acquisti, preferenze e consensi da "
    "questo sistema. Non potremo più riconoscerti. Non si può annullare. Ciò che la legge ci "
    "impone di conservare, come le fatture, resta nella contabilità del negozio.",
    erase_understood="Ho capito che non si può annullare",
    erase_button="Cancella i miei dati",
    erased="Ti stiamo dimenticando",
    erased_text="I tuoi dati vengono cancellati adesso. Non riceverai più nulla da noi.",
    back="Torna alle preferenze",
    too_old="Questo link è troppo vecchio",
    too_old_text="Per proteggere i tuoi dati, le richieste che li riguardano si fanno da una "
    "nostra email recente. Apri l’ultima che hai ricevuto, oppure scrivici.",
    confirm="Confermi l’iscrizione?",
    confirm_text="Con la conferma ci autorizzi a mandarti comunicazioni promozionali per email. "
    "Puoi annullare l’iscrizione in ogni momento. Se l’iscrizione non è tua, chiudi "
    "semplicemente questa pagina.",
    confirm_button="Confermo l’iscrizione",
    confirmed="Iscrizione confermata",
    confirmed_text="Grazie! Da adesso ricevi le nostre comunicazioni. Puoi chiudere questa pagina.",
    confirm_expired="Questo link è scaduto",
    confirm_expired_text="Iscriviti di nuovo dal nostro sito e ti manderemo una nuova email di "
    "conferma.",
    your_answer="La tua risposta",
    answer_button="Invia la risposta",
    answered="Grazie per la risposta",
    answered_text="La leggiamo davvero. Puoi chiudere questa pagina.",
    view_gone="Questa email non c’è più",
    view_gone_text="Conserviamo le email per la lettura nel browser soltanto per qualche giorno.",
    link_gone="Questo link non è più valido",
    link_gone_text="La pagina a cui portava non fa più parte del nostro sito.",
    to_the_shop="Vai al negozio",
    unknown="Questo link non è valido",
    unknown_text="Controlla di averlo copiato per intero, oppure rispondi a una nostra email.",
    not_understood="Non abbiamo capito la richiesta",
    not_understood_text="Torna indietro e riprova dalla pagina.",
    later="Riprova tra qualche minuto",
    later_text="Al momento non possiamo registrare la richiesta. Ci dispiace.",
    help="Hai bisogno di aiuto? Scrivici:",
)

ENGLISH = PageMessages(
    language="en",
    language_name="English",
    other_language="Leggi in italiano",
    yes="Yes",
    no="No",
    unsubscribe="Do you want to unsubscribe?",
    unsubscribe_text="We will send you no more promotional mails. "
    "You will still receive the confirmations of your orders.",
    unsubscribe_button="Unsubscribe",
    unsubscribe_choose="I’d rather choose what to receive",
    unsubscribed="You are unsubscribed",
    unsubscribed_text="You will receive no more promotional mails from us. "
    "You can close this page.",
    preferences="Your preferences",
    preferences_text="Choose what you want to hear from us. You can change your mind at any time.",
    lists="Your lists",
    list_left="You are not subscribed",
    consents="Your consents",
    marketing="Promotional mails",
    marketing_text="News, tips and offers by mail. The confirmations of your orders come in any "
    "case.",
    profiling="Made for you",
    profiling_text="We use what you buy and which pages you look at to suggest what may really "
    "interest you.",
    tracking="Openings and clicks",
    tracking_text="Knowing whether you open our mails and which links you follow. Without your "
    "consent we only count them, without knowing whose they are.",
    mails="Mails",
    frequency="How often?",
    frequency_text="For promotional mails.",
    normal="As it is now",
    less="Less often",
    mail_language="In which language?",
    save="Save preferences",
    saved="Preferences saved",
    saved_text="From now on, what you see below holds.",
    nothing_changed="You changed nothing: all stays as it was.",
    state_unknown="We can’t show your present choices right now. "
    "Change only what you want to change: the rest stays as it is.",
    nobody="We hold no data about you",
    nobody_text="Nothing about you is kept in this system any more, so there is nothing to choose.",
    own_data="Your data",
    own_data_text="It is yours: you can ask for a copy of it, or have it erased.",
    copy="Do you want a copy of your data?",
    copy_text="We will prepare a copy of all that we know about you and send it to the address "
    "that we know, within a month.",
    copy_button="Ask for a copy",
    copied="We have your request",
    copied_text="You will have our answer within a month, at the address that we know.",
    erase="Do you want us to forget you?",
    erase_text="We will erase your profile, cart, purchase history, preferences and consents from "
    "this system. We will not be able to recognise you any more. This can’t be undone. What the "
    "law makes us keep, such as invoices, stays in the shop’s accounts.",
    erase_understood="I understand that this can’t be undone",
    erase_button="Erase my data",
    erased="We are forgetting you",
    erased_text="Your data is being erased now. You will receive nothing more from us.",
    back="Back to the preferences",
    too_old="This link is too old",
    too_old_text="To protect your data, requests about it are made from a recent mail of ours. "
    "Open the last one that you received, or write to us.",
    confirm="Do you confirm your subscription?",
    confirm_text="By confirming you allow us to send you promotional mails. You can unsubscribe at "
    "any time. If it was not you who subscribed, simply close this page.",
    confirm_button="I confirm",
    confirmed="Subscription confirmed",
    confirmed_text="Thank you! From now on you will hear from us. You can close this page.",
    confirm_expired="This link has expired",
    confirm_expired_text="Subscribe again on our site and we will send you a new mail to confirm.",
    your_answer="Your answer",
    answer_button="Send the answer",
    answered="Thank you for your answer",
    answered_text="We do read it. You can close this page.",
    view_gone="This mail is not here any more",
    view_gone_text="We keep mails for reading in the browser for a few days only.",
    link_gone="This link does not work any more",
    link_gone_text="The page that it led to is not part of our site any more.",
    to_the_shop="Go to the shop",
    unknown="This link is not valid",
    unknown_text="Check that you copied all of it, or reply to one of our mails.",
    not_understood="We did not understand the request",
    not_understood_text="Go back and try again from the page.",
    later="Please try again in a few minutes",
    later_text="We can’t take note of your request right now. We are sorry.",
    help="Do you need help? Write to us:",
)

WORDS: Mapping[str, PageMessages] = {"it": ITALIAN, "en": ENGLISH}
