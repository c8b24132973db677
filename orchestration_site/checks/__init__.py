"""Checks of the settings, by Django's system check framework. docs/operations.md explains the id of each check.

`start` is run at each start: its errors stop the service from starting. `deploy` is the production checklist, which
`manage.py check --deploy` runs. Both register their checks when they are imported, and `SiteConfig` imports them.
"""
