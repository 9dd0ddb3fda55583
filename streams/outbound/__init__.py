"""What leaves for other systems beside mails: webhooks of signals, the CRM, audiences as files.

files           webhooks.yaml and crm.yaml, read and checked
following       a reader of one topic's partition that goes on where it was
follower        takes records in order to an outlet, and never past one that was not delivered
webhooks        the outlet that posts
runtime         all of it beside a worker
"""
