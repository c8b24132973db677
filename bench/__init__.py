"""The benchmarks of docs/benchmarks.md: each is a command, and they share how they measure and how they report."""
