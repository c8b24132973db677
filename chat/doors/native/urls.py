from django.urls import path

from chat.doors.native.views import ChatView, FallbackView, ParallelView, StreamView

urlpatterns = [
    path("chat", ChatView.as_view(), name="chat"),
    path("chat/parallel", ParallelView.as_view(), name="chat-parallel"),
    path("chat/fallback", FallbackView.as_view(), name="chat-fallback"),
    path("chat/stream", StreamView.as_view(), name="chat-stream"),
]
