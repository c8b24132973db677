"""What the simulator would send a bill for, and OpenAI's addresses at which an administrator reads that."""
