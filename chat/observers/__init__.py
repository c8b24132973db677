"""What is told of every call that has ended: the log, the metrics and the traces."""
