from django.urls import path, re_path

from chat.doors.openai.model_views import ModelsView, ModelView
from chat.doors.openai.stored.views import StoredCompletionView, StoredMessagesView
from chat.doors.openai.unknown import UnknownView
from chat.doors.openai.views import (
    ChatCompletionsView,
    CompletionsView,
    EmbeddingsView,
    ResponsesView,
)

urlpatterns = [
    path("v1/chat/completions", ChatCompletionsView.as_view(), name="v1-chat-completions"),
    path("v1/chat/completions/<str:completion_id>", StoredCompletionView.as_view(), name="v1-stored-completion"),
    path("v1/chat/completions/<str:completion_id>/messages", StoredMessagesView.as_view(), name="v1-stored-messages"),
    path("v1/completions", CompletionsView.as_view(), name="v1-completions"),
    path("v1/embeddings", EmbeddingsView.as_view(), name="v1-embeddings"),
    path("v1/responses", ResponsesView.as_view(), name="v1-responses"),
    path("v1/models", ModelsView.as_view(), name="v1-models"),
    path("v1/models/<path:model>", ModelView.as_view(), name="v1-model"),
    re_path("^v1(?:/|$)", UnknownView.as_view(), name="v1-unknown"),
]
