"""How large the body of a request may be, and how Django learns the length of one that arrives in chunks."""
