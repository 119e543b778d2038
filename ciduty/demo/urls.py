"""What there is only in the demo: one-click sign-in, the mails, the clock.

Included in the site map only in the demo; outside it these addresses do not exist.
"""

from django.urls import path

from ciduty.demo import views

urlpatterns = [
    path("sign-in/", views.demo_sign_in, name="demo_sign_in"),
    path("mail/", views.demo_mails, name="demo_mails"),
    path("mail/<str:mail_name>/", views.demo_mail, name="demo_mail"),
    path("clock/", views.demo_clock, name="demo_clock"),
]
