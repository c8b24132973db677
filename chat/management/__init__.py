"""Management commands for the call history, and the types of their arguments."""
