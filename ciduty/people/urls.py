"""Signing in and out, and the lead's pages of people and of the keys of programs."""

from django.contrib.auth.views import LogoutView
from django.urls import path

from ciduty.people import token_views, views

urlpatterns = [
    path("sign-in/", views.SignIn.as_view(), name="sign_in"),
    path("sign-out/", LogoutView.as_view(next_page="front_door"), name="sign_out"),
    path("people/", views.people, name="people"),
    path("people/add/", views.add_person, name="add_person"),
    path("people/tokens/", token_views.api_tokens, name="api_tokens"),
    path("people/tokens/add/", token_views.add_api_token, name="add_api_token"),
    path("people/tokens/<int:token_id>/revoke/", token_views.revoke_api_token, name="revoke_api_token"),
    path("people/<int:person_id>/", views.person, name="person"),
]
