"""What answers over HTTP: the admin port, the public pages, the internal door."""
