"""One file per page: parse the request, ask the desk, draw."""
