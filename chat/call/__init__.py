"""One call: from an order, checked against the limits of its caller, to an answer of the cache or of a model."""
