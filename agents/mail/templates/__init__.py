"""Mail templates: from what a marketer writes to what Jinja renders, once, when they are loaded.

In the order in which a file goes through them: `tags` (Jinja's tags and the rest), `page` (the
blocks of a mail), `markup` (the tree of a block), `mjml` (its HTML) and `plain` (its text),
`compiler` (everything linked together), `sandbox` (what a template may do), `variables` (what it
may name).
"""
