"""Which models are asked, in which order, and when one is asked again: routes, races, retries, hedges and breakers."""
