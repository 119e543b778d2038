"""One-click sign-in as each role.

Included in the site map only in the demo; outside it these addresses do not exist.
"""

from django.urls import path

from ciduty.demo import views

urlpatterns = [path("sign-in/", views.demo_sign_in, name="demo_sign_in")]
