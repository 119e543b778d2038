"""Signing in and out, and the people page of the lead."""

from django.contrib.auth.views import LogoutView
from django.urls import path

from ciduty.people import views

urlpatterns = [
    path("sign-in/", views.SignIn.as_view(), name="sign_in"),
    path("sign-out/", LogoutView.as_view(next_page="front_door"), name="sign_out"),
    path("people/", views.people, name="people"),
    path("people/add/", views.add_person, name="add_person"),
    path("people/<int:person_id>/", views.person, name="person"),
]
