"""The admin of the call history: read-only, and quick with millions of calls.

`CallAdmin` puts it together. Content and attempts are shown with their call and have no pages of their own.
"""

from django.contrib import admin

from chat.admin.calls import CallAdmin
from chat.models import CallRecord

__all__ = ["CallAdmin"]

admin.site.register(CallRecord, CallAdmin)
