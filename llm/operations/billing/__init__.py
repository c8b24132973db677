"""What an answer says of its own bill: parts of its usage, searches, the tier, the model, and its cost."""
