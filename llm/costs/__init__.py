"""What calls cost: token counts, estimates of them, and prices."""
