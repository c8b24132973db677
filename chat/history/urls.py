from django.urls import path

from chat.history.views import CallsView, CallView

urlpatterns = [
    path("calls", CallsView.as_view(), name="calls"),
    path("calls/<str:request_id>", CallView.as_view(), name="call"),
]
