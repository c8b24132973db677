"""What a simulated model says, whichever API asks it: text, JSON that fits a schema, a tool call, and token counts."""
