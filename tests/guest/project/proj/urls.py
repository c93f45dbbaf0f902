"""The site's addresses."""

from django.urls import path
from shop import views

urlpatterns = [path("buy", views.buy), path("describe", views.describe), path("whose", views.whose)]
