"""The doors: from an HTTP request to an order, and from the outcome of the call to an HTTP response."""
