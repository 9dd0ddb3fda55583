"""Exports of shop systems and mailers, known by their heads, in the languages that are known.

Names are compared by their letters and digits (`plain_name`). What Shopify, Klaviyo and Mailchimp
write is documented by them; WooCommerce's core exports no orders, so it is the plugin that most
shops have (Advanced Order Export); of PrestaShop also tables as its SQL manager has them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from streams.feeds.source_rows import plain_name

What = Literal["orders", "customers"]

Names = tuple[str, ...]


class ExportFormat(NamedTuple):
    """One kind of file."""

    name: str
    what: What
    needs: Sequence[Names]
    """Of each of these one must be among the heads."""
    columns: Mapping[str, Names]
    """What may hold each field, the particular before the general."""
    consent: str = ""
    """What the file says of everybody in it, where no column says it: `subscribed`,
    `unsubscribed`."""
    lacks: str = ""
    """What such a file can't give."""


_BILLING = ("billing", "fatturazione")

FORMATS = (
    ExportFormat(
        "Shopify orders",
        "orders",
        [("name",), ("financialstatus", "statofinanziario"), ("lineitemname",)],
        {
            "order_key": ("name",),
            "order_id": ("id", "name"),
            "order_number": ("name",),
            "email": ("email",),
            "time": ("createdat", "processedat", "paidat"),
            "status": ("financialstatus", "statofinanziario"),
            "cancelled_at": ("cancelledat",),
            "shipping_status": ("fulfillmentstatus",),
            "shipped_at": ("fulfilledat",),
            "currency": ("currency",),
            "subtotal": ("subtotal",),
            "shipping": ("shipping",),
            "tax": ("taxes",),
            "total": ("total",),
            "discount": ("discountamount",),
            "coupon": ("discountcode",),
            "payment_method": ("paymentmethod",),
            "refunded": ("refundedamount",),
            "sku": ("lineitemsku",),
            "name": ("lineitemname",),
            "quantity": ("lineitemquantity",),
            "price": ("lineitemprice",),
            "customer_name": ("billingname", "shippingname"),
            "phone": ("billingphone", "shippingphone", "phone"),
            "city": ("shippingcity", "billingcity"),
            "country": ("shippingcountry", "billingcountry"),
        },
        lacks="customers' and products' numbers: who ordered is known by the address, lines by SKU",
    ),
    ExportFormat(
        "WooCommerce orders (Advanced Order Export)",
        "orders",
        [("ordernumber", "orderid", "numeroordine"), ("orderstatus", "statoordine"),
         ("ordertotalamount", "totaleordine")],
        {
            "order_key": ("orderid", "ordernumber", "numeroordine"),
            "order_id": ("orderid", "ordernumber", "numeroordine"),
            "order_number": ("ordernumber", "numeroordine"),
            "customer_id": ("customerid", "customeruserid", "userid"),
            "email": ("emailbilling", "billingemail", "customeruseremail", "emailfatturazione"),
            "time": ("orderdategmt", "orderdate", "dataordine"),
            "status": ("orderstatus", "statoordine"),
            "shipped_at": ("completeddate", "ordercompleteddate", "datacompletamento"),
            "carrier": ("trackingprovider",),
            "tracking_number": ("trackingnumber",),
            "currency": ("ordercurrency", "currency", "valuta"),
            "subtotal": ("ordersubtotalamount",),
            "shipping": ("ordershippingamount",),
            "tax": ("ordertotaltaxamount",),
            "total": ("ordertotalamount", "totaleordine"),
            "discount": ("cartdiscountamount", "orderdiscountamount"),
            "coupon": ("couponcode", "couponcodes"),
            "payment_method": ("paymentmethodtitle", "metododipagamento"),
            "refunded": ("orderrefundamount",),
            "product_id": ("productid", "itemid"),
            "sku": ("sku",),
            "name": ("itemname", "productname"),
            "quantity": ("quantity", "quantityrefund"),
            "price": ("itemcost", "itempriceincltax", "productcurrentprice"),
            "first_name": ("firstnamebilling", "billingfirstname", "firstnameshipping"),
            "last_name": ("lastnamebilling", "billinglastname", "lastnameshipping"),
            "phone": ("phonebilling", "billingphone"),
            "city": ("citybilling", "billingcity", "cityshipping"),
            "country": ("countrycodebilling", "billingcountry", "countrycodeshipping"),
        },
    ),
    ExportFormat(
        "WooCommerce orders (Analytics)",
        "orders",
        [("order", "ordine"), ("nrevenue", "netrevenue", "entratenette"), ("itemssold",)],
        {},
        lacks="addresses: nobody could be told apart. Export with a plugin, or connect the shop",
    ),
    ExportFormat(
        "PrestaShop orders (SQL manager)",
        "orders",
        [("idorder",), ("totalpaidtaxincl", "totalpaid"), ("dateadd",)],
        {
            "order_id": ("idorder",),
            "order_number": ("reference", "riferimento"),
            "customer_id": ("idcustomer",),
            "email": ("email",),
            "time": ("dateadd",),
            "status": ("orderstate", "statename", "osname", "status"),
            "status_at": ("dateupd",),
            "carrier": ("carriername", "carrier"),
            "tracking_number": ("trackingnumber", "shippingnumber"),
            "currency": ("isocode", "currency"),
            "total": ("totalpaidtaxincl", "totalpaid"),
            "shipping": ("totalshippingtaxincl",),
            "discount": ("totaldiscountstaxincl",),
            "payment_method": ("payment",),
            "product_id": ("productid",),
            "sku": ("productreference",),
            "name": ("productname",),
            "quantity": ("productquantity",),
            "price": ("unitpricetaxincl",),
            "first_name": ("firstname",),
            "last_name": ("lastname",),
            "phone": ("phone", "phonemobile"),
            "city": ("city", "deliverycity", "invoicecity"),
            "country": ("country", "countryname", "deliverycountry", "invoicecountry"),
        },
    ),
    ExportFormat(
        "PrestaShop orders (list of the back office)",
        "orders",
        [("reference", "riferimento"), ("newclient", "newcustomer", "nuovocliente"),
         ("total", "totale"), ("payment", "pagamento")],
        {},
        lacks="addresses: nobody could be told apart. Use the SQL manager (orders joined with "
        "customers), or connect the shop",
    ),
    ExportFormat(
        "Magento orders",
        "orders",
        [("purchasedate", "purchasedon", "datadiacquisto"),
         ("grandtotalpurchased", "grandtotalbase", "gtpurchased"), ("customeremail",)],
        {
            "order_id": ("id", "order"),
            "email": ("customeremail",),
            "time": ("purchasedate", "purchasedon", "datadiacquisto"),
            "status": ("status", "stato"),
            "total": ("grandtotalpurchased", "gtpurchased", "grandtotalbase"),
            "subtotal": ("subtotal",),
            "shipping": ("shippingandhandling",),
            "payment_method": ("paymentmethod",),
            "refunded": ("totalrefunded",),
            "customer_name": ("customername", "billtoname", "shiptoname"),
        },
        lacks="lines and when parcels left: what was bought is not known",
    ),
    ExportFormat(
        "Shopify customers",
        "customers",
        [("acceptsemailmarketing", "acceptsmarketing"), ("totalspent",)],
        {
            "customer_id": ("customerid",),
            "email": ("email",),
            "first_name": ("firstname",),
            "last_name": ("lastname",),
            "phone": ("phone", "defaultaddressphone"),
            "city": ("defaultaddresscity", "city"),
            "country": ("defaultaddresscountrycode", "countrycode"),
            "tags": ("tags",),
            "consent": ("acceptsemailmarketing", "acceptsmarketing"),
        },
        lacks="when somebody agreed",
    ),
    ExportFormat(
        "PrestaShop customers (SQL manager)",
        "customers",
        [("idcustomer",), ("email",), ("newsletter",), ("dateadd",)],
        {
            "customer_id": ("idcustomer",),
            "email": ("email",),
            "first_name": ("firstname",),
            "last_name": ("lastname",),
            "birthday": ("birthday",),
            "phone": ("phone", "phonemobile"),
            "city": ("city",),
            "country": ("country", "countryname"),
            "created": ("dateadd",),
            "consent": ("newsletter",),
            "consent_time": ("newsletterdateadd",),
            "consent_ip": ("ipregistrationnewsletter",),
        },
    ),
    ExportFormat(
        "PrestaShop customers (list of the back office)",
        "customers",
        [("emailaddress", "indirizzoemail", "email"), ("newsletter",),
         ("socialtitle", "titolo", "titoloonorifico"), ("registration", "registrazione")],
        {
            "customer_id": ("id",),
            "email": ("emailaddress", "indirizzoemail", "email"),
            "first_name": ("firstname", "nome"),
            "last_name": ("lastname", "cognome"),
            "created": ("registration", "registrazione"),
            "consent": ("newsletter",),
        },
        lacks="when somebody agreed",
    ),
    ExportFormat(
        "Magento newsletter subscribers",
        "customers",
        [("email",), ("type", "tipo"), ("storeview",), ("status", "stato"),
         ("customerfirstname", "customerfirst")],
        {
            "email": ("email",),
            "first_name": ("customerfirstname", "customerfirst"),
            "last_name": ("customerlastname", "customerlast"),
            "consent": ("status", "stato"),
            "consent_time": ("changestatusat",),
        },
        lacks="when somebody agreed",
    ),
    ExportFormat(
        "Magento customers",
        "customers",
        [("email",), ("website", "websiteid"), ("groupid", "group"),
         ("createdat", "customersince")],
        {
            "customer_id": ("entityid", "id"),
            "email": ("email",),
            "name": ("name",),
            "first_name": ("firstname",),
            "last_name": ("lastname",),
            "birthday": ("dob", "dateofbirth"),
            "phone": ("phone",),
            "country": ("country",),
            "created": ("createdat", "customersince"),
        },
    ),
    ExportFormat(
        "WooCommerce customers",
        "customers",
        [("customerid", "userid", "id"), ("useremail", "email"),
         ("dateregistered", "userregistered", "signup", "dateregisteredgmt")],
        {
            "customer_id": ("customerid", "userid", "id"),
            "email": ("useremail", "email"),
            "name": ("name", "displayname"),
            "first_name": ("firstname", "billingfirstname"),
            "last_name": ("lastname", "billinglastname"),
            "phone": ("billingphone",),
            "city": ("billingcity", "city"),
            "country": ("billingcountry", "country", "countryregion"),
            "created": ("dateregisteredgmt", "dateregistered", "userregistered", "signup"),
        },
        lacks="consent, which WooCommerce's core has none of",
    ),
    ExportFormat(
        "Klaviyo profiles",
        "customers",
        [("email",), ("klaviyoid", "emailmarketingconsent")],
        {
            "email": ("email",),
            "first_name": ("firstname",),
            "last_name": ("lastname",),
            "phone": ("phonenumber",),
            "city": ("city",),
            "country": ("country",),
            "locale": ("locale",),
            "created": ("profilecreatedon", "created"),
            "consent": ("emailmarketingconsent", "emailmarketingconsentstatus"),
            "consent_time": ("emailmarketingconsenttimestamp", "emailmarketingconsentdate"),
            "consent_source": ("emailmarketingconsentmethod", "source"),
            "consent_ip": ("ipaddress",),
            "confirmed_time": ("emailmarketingdoubleoptindate", "doubleoptintimestamp"),
            "unsubscribed_time": ("emailunsubscribedon", "unsubscribetimestamp"),
        },
    ),
    ExportFormat(
        "Mailchimp unsubscribed",
        "customers",
        [("emailaddress", "indirizzoemail"), ("unsubtime",)],
        {},
        consent="unsubscribed",
    ),
    ExportFormat(
        "Mailchimp cleaned",
        "customers",
        [("emailaddress", "indirizzoemail"), ("cleantime",)],
        {},
        consent="unsubscribed",
    ),
    ExportFormat(
        "Mailchimp subscribed",
        "customers",
        [("emailaddress", "indirizzoemail"), ("optintime",), ("leid", "euid")],
        {},
        consent="subscribed",
    ),
)  # fmt: skip

_MAILCHIMP: Mapping[str, Names] = {
    "email": ("emailaddress", "indirizzoemail"),
    "first_name": ("firstname", "nome"),
    "last_name": ("lastname", "cognome"),
    "phone": ("phonenumber", "phone", "numeroditelefono"),
    "birthday": ("birthday", "compleanno"),
    "country": ("cc",),
    "consent_time": ("optintime",),
    "consent_ip": ("confirmip", "optinip"),
    "confirmed_time": ("confirmtime",),
    "unsubscribed_time": ("unsubtime", "cleantime"),
    "consent_source": ("unsubreason",),
    "tags": ("tags",),
}


def recognised(header: Sequence[str]) -> ExportFormat | None:
    """Return which export has such a header, None for one that is not known."""
    heads = {plain_name(column) for column in header}
    for each in FORMATS:
        if all(heads.intersection(names) for names in each.needs):
            return each
    return None


_OF_ADDRESSES = ("customer_name", "first_name", "last_name", "phone", "city", "country")
"""An order has two of each, and one of them may be empty: nothing is sent to who fetches it."""


def mapped(known: ExportFormat, header: Sequence[str]) -> dict[str, str]:
    """Return the column of each field that such an export has."""
    return {field: columns[0] for field, columns in _candidates(known, header).items()}


def otherwise(known: ExportFormat, header: Sequence[str]) -> dict[str, list[str]]:
    """Return the columns in which a field stands where the one that is mapped is empty."""
    if known.what != "orders":
        return {}
    candidates = _candidates(known, header)
    return {
        field: candidates[field][1:]
        for field in _OF_ADDRESSES
        if len(candidates.get(field, ())) > 1
    }


def _candidates(known: ExportFormat, header: Sequence[str]) -> dict[str, list[str]]:
    heads = {plain_name(column): column for column in reversed(header)}
    columns = _MAILCHIMP if known.name.startswith("Mailchimp") else known.columns
    found = {
        field: [heads[name] for name in names if name in heads] for field, names in columns.items()
    }
    return {field: there for field, there in found.items() if there}
