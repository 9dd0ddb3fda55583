"""Insights: results of experiments and how sure they are, and how mails were received."""
