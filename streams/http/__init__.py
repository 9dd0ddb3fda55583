"""The HTTP servers of a worker: the admin port, the public pages, the internal port."""
