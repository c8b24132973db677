"""The servers of a benchmark: how the gateways and the upstream are started, asked and stopped, and what they keep."""
