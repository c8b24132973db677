from django.urls import path

from chat.doors.native.views import CallsView, CallView, ChatView, FallbackView, ParallelView, StreamView

urlpatterns = [
    path("chat", ChatView.as_view(), name="chat"),
    path("chat/parallel", ParallelView.as_view(), name="chat-parallel"),
    path("chat/fallback", FallbackView.as_view(), name="chat-fallback"),
    path("chat/stream", StreamView.as_view(), name="chat-stream"),
    path("calls", CallsView.as_view(), name="calls"),
    path("calls/<str:request_id>", CallView.as_view(), name="call"),
]
