"""Exports by shape, with invented people."""

from __future__ import annotations

SHOPIFY_ORDERS = """Name,Email,Financial Status,Paid at,Fulfillment Status,Accepts Marketing,\
Currency,Subtotal,Shipping,Taxes,Total,Discount Code,Discount Amount,Created at,Lineitem quantity,\
Lineitem name,Lineitem price,Lineitem sku,Billing Name,Shipping City,Shipping Country,Notes,\
Cancelled at,Payment Method,Refunded Amount,Id
#1001,anna.verdi@example.it,partially_refunded,2026-03-02 10:15:04 +0100,,yes,EUR,47.10,4.90,9.38,\
52.00,MARZO,5.00,2026-03-02 10:15:00 +0100,1,Moka 3 tazze,42.10,MOKA-3,Anna Verdi,Milano,IT,\
"Suonare,
due volte",,paypal,10.00,820001
#1001,anna.verdi@example.it,,,,,,,,,,,,2026-03-02 10:15:00 +0100,2,Tazza - blu,5.00,,,,,,,,,
#1002,bruno.neri@example.it,pending,,,no,EUR,10.00,0.00,1.80,10.00,,0.00,2026-03-03 09:00:00 +0100,\
1,Tazza - blu,10.00,TAZZA,Bruno Neri,Roma,IT,,,Bonifico,0.00,820002
#1003,carla.bianchi@example.it,paid,,,no,EUR,10.00,0.00,1.80,10.00,,0.00,2026-03-03 09:00:00 +0100,\
1,Tazza - blu,10.00,TAZZA,Carla Bianchi,Roma,IT,,2026-03-04 08:00:00 +0100,paypal,0.00,820003
"""
WOO_ORDERS = """Order ID;Order Number;Order Status;Order Date;Customer User ID;Email (Billing);\
First Name (Billing);Last Name (Billing);City (Billing);Country Code (Billing);\
Payment Method Title;Order Shipping Amount;Order Total Amount;Order Refund Amount;Coupon Code;\
Product ID;SKU;Item Name;Quantity;Item Cost
5001;5001;Completato;02/03/2026 10:15;12;anna.verdi@example.it;Anna;Verdi;Milano;IT;PayPal;4,90;\
52,00;;;901;MOKA-3;Moka 3 tazze;1;"47,10"
5002;5002;wc-refunded;03/03/2026 09:00;0;bruno.neri@example.it;Bruno;Neri;Roma;IT;PayPal;0;\
"1.052,00";;SCONTO;902;;Macchina;1;"1.052,00"
5003;5003;In attesa di pagamento;03/03/2026 09:00;0;dario@example.it;Dario;Blu;Roma;IT;Bonifico;0;\
5,00;;;902;;Tazza;1;5,00
"""
PRESTA_ORDERS = """id_order;reference;id_customer;email;payment;total_paid_tax_incl;date_add;\
product_id;product_reference;product_name;product_quantity;unit_price_tax_incl
71;XKBKNABJK;12;anna.verdi@example.it;Bonifico;52.000000;2026-03-02 10:15:00;9;MOKA-3;Moka 3 tazze;\
1;47.100000
"""
MAGENTO_ORDERS = """ID,"Purchase Point","Purchase Date","Bill-to Name","Grand Total (Base)",\
"Grand Total (Purchased)",Status,"Customer Email","Shipping and Handling","Customer Name",\
"Payment Method","Total Refunded"
000000301,"Main Website","2026-03-02 09:15:00","Anna Verdi",52.0000,52.0000,processing,\
anna.verdi@example.it,4.0200,"Anna Verdi",paypal_express,0.0000
"""
SHOPIFY_CUSTOMERS = """Customer ID,First Name,Last Name,Email,Accepts Email Marketing,\
Default Address City,Default Address Country Code,Phone,Total Spent,Total Orders,Tags
'70001,Anna,Verdi,anna.verdi@example.it,yes,Milano,IT,'+390212345,52.00,1,"vip, moka"
'70002,Bruno,Neri,bruno.neri@example.it,no,Roma,IT,,0.00,0,
"""
PRESTA_CUSTOMERS = """"id_customer";"firstname";"lastname";"email";"birthday";"newsletter";\
"ip_registration_newsletter";"newsletter_date_add";"optin";"date_add"
"12";"Anna";"Verdi";"anna.verdi@example.it";"1980-05-17";"1";"203.0.113.7";\
"2026-02-01 10:00:00";"0";\
"2026-01-15 09:00:00"
"13";"Bruno";"Neri";"bruno.neri@example.it";"0000-00-00";"0";"";"0000-00-00 00:00:00";"0";\
"2026-01-16 09:00:00"
"""
KLAVIYO = """Email,Klaviyo ID,First Name,Last Name,Phone Number,City,Country,IP Address,\
Email Marketing Consent,Email Marketing Consent Timestamp
anna.verdi@example.it,01H,Anna,Verdi,,Milano,Italy,203.0.113.7,SUBSCRIBED,2026-02-01 09:00:00
bruno.neri@example.it,01J,Bruno,Neri,,,,,UNSUBSCRIBED,2026-02-03 09:00:00
carla@example.it,01K,Carla,,,,,,NEVER_SUBSCRIBED,
"""
MAILCHIMP_SUBSCRIBED = """"Email Address","First Name","Last Name","MEMBER_RATING","OPTIN_TIME",\
"OPTIN_IP","CONFIRM_TIME","CONFIRM_IP","CC","REGION","LAST_CHANGED","LEID","EUID","NOTES","TAGS"
"anna.verdi@example.it","Anna","Verdi","4","2026-02-01 09:00:00","203.0.113.7",\
"2026-02-01 09:05:00","203.0.113.8","it","25","2026-02-01 09:05:00","1","e1","","\"\"vip\"\""
"dario@example.it","Dario","","2","2026-02-01 09:00:00","203.0.113.9","","","","","","2","e2","",""
"""
MAILCHIMP_UNSUBSCRIBED = """"Email Address","First Name","MEMBER_RATING","OPTIN_TIME","OPTIN_IP",\
"CONFIRM_TIME","CONFIRM_IP","LEID","EUID","UNSUB_TIME","UNSUB_CAMPAIGN_TITLE","UNSUB_REASON"
"bruno.neri@example.it","Bruno","2","2026-01-01 09:00:00","","2026-01-01 09:00:00","","3","e3",\
"2026-02-05 09:00:00","Febbraio","NORMAL"
"""
