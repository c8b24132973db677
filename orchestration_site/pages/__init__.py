"""Addresses of the service itself, which ask no model: health, metrics, and the description of the API."""
