"""Our books beside the provider's: what we think that calls have cost, and what the provider says."""
