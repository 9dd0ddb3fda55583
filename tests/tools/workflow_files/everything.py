"""A workflow with every kind of step, and words that a drawing must not take for its own."""

from __future__ import annotations

from schemas.definitions.workflow import Workflow
from schemas.yaml_text import Document

EVERYTHING = r"""
id: x-everything
title: {it: 'Prova "tutto" [su] (misura): è {tè} & <b>caffè</b> #1; für Ümläute', en: A test}
group: 'cart "]'
versions: live
trigger:
  {on: product.viewed, times: 3, within: 7d, same: product_id, where: {event.category: 'a"b]'}}
season: {from: 11-20, to: 12-02}
entry: {once_per: product, again_after: 30d, cool_down: 7d, if: {orders.count: {at_least: 1}}}
exit_on: [order.completed, list.left]
exit_if: {profile.city: '#35; "%%{init: {}}%%" --> `x`'}
goal: {on: order.completed, where: {event.total: {above: 50}}, within: 14d}
steps:
  - id: end
    tag: '1. a"b]c)d}e{f|g<h>i&j#k;l`m%n'
    lasts: 1d
  - id: test
    wait: {for: 1d, at: "10:00"}
    experiment: subject-test
    split:
      - name: a
        share: 45
        steps:
          - {id: mail-a, send: cart-reminder, kind: informative}
          - {id: clicked, wait: {event: mail.clicked, timeout: 3d}}
          - id: inner
            branch:
              - {result: event, steps: [{id: happy, goal: clicked}]}
              - {if: {profile.country: [IT, SM]}, steps: [{id: italy, untag: "italy:*"}]}
            else:
              - {id: out, exit: 'style n1 fill:#f00; subgraph "end"'}
      - name: b
        share: 45
        steps:
          - {id: mail-b, send: cart-help, kind: promotional, if: {orders.count: 2},
             basis: soft_opt_in, stop_on: [product.reviewed], expires: 1d, tracking: "off",
             products: {from: complements, at_least: 2}}
          - {id: sales, notify: sales, message: {it: "Ciao \e[31m{profile.email}"}}
          - {id: hook, notify: "https://shop.example/a-very-long-address/that-has-to-be-broken/somewhere"}
          - {id: list, list: newsletter, action: subscribe}
          - {id: set, set: {first_purchase: null, profile.city: "Napoli"}}
          - {id: count, increase: {milestone: 1, fields.milestone: -0.5}}
          - {id: score, score: lead, add: -2.5}
          - {id: points, points: 50}
      - {name: control, share: 10, holdout: true}
  - id: follow
    wait: [{date: order.estimated_delivery, after: 1d}, {until: "18:00", on: [mon, tue]}]
    call: y-called
    wait_for_end: true
  - {id: coupon, coupon: welcome}
  - {id: confirmation, send: order-confirmation, class: transactional, kind: transactional}
"""


def everything() -> Workflow:
    """Return it."""
    return Workflow.model_validate(Document(EVERYTHING).content)
