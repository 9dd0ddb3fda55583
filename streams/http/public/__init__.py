"""What the world may reach: where the links in our mails lead.

    GET  /o/TOKEN           the pixel; counts an opening
    GET  /c/TOKEN           leads to a page of the shop; counts a click
    GET  /u/TOKEN           asks "really?"            POST  unsubscribes; also one-click (RFC 8058)
    GET  /p/TOKEN           what do you want to get?  POST  lists, consents, language, how often
    GET  /p/TOKEN/copy      your data, please         POST  asks for a copy
    GET  /p/TOKEN/erase     forget me                 POST  erases
    GET  /y/TOKEN           is this your address?     POST  confirms a subscription
    GET  /a/TOKEN           is this your answer?      POST  answers a mail's question
    GET  /v/TOKEN           the mail in the browser

A GET changes nothing but a count: scanners follow every link in a mail, and press no button. What
is asked for becomes an event in `customer-events`, with what proves it; nothing is changed here.

It speaks plain HTTP on loopback; whatever stands before it speaks TLS. It sets no cookie, needs no
JavaScript, and tells nobody whether a customer exists: a token is either ours or it is not. Whoever
has a mail has its token, so the pages show no address and no order.
"""
