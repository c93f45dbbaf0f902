"""The site's addresses."""

from django.urls import path
from shop import views

urlpatterns = [path(view.__name__, view) for view in (views.buy, views.describe, views.order, views.hook, views.whose)]
