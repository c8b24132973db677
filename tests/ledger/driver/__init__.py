"""Random calls through every door of a real service whose upstream is the ledger, and what its rows say of them."""
