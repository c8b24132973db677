from django.apps import AppConfig


class ChatConfig(AppConfig):
    """Calls: how they come in, how they run, and what is kept of them."""

    name = "chat"
    default_auto_field = "django.db.models.BigAutoField"
