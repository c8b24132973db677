"""One running call: what it is asked to do, how it asks the models and passes a stream on, and how it ended."""
