"""What is kept of what was said: without secrets, without the bytes of images and sound, and within a bound."""
