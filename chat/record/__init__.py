"""The record: from the outcome of a call to its rows in the database."""
