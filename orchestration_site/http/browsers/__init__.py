"""HTTPS, security headers, host names, and what pages of other origins may do. Most of it protects browsers."""
