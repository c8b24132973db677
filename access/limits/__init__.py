"""What a caller may still use: its limits are counted before and after each call, in Redis or in memory."""
