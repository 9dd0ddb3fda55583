"""What it came to: results of experiments and how sure they are, how mails were received."""
