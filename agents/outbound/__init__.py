"""Decisions about what is handed to other systems over HTTP: webhooks of signals, the CRM."""
