"""Which pages do visitors see?"""

from __future__ import annotations

from django.urls import path

from testapp.flights.views import account, bookings, schedule, search

urlpatterns = [
    path("", schedule.home, name="home"),
    path("planes/<str:tailnum>/", schedule.PlaneView.as_view(), name="plane"),
    path("flights/", search.SearchView.as_view(), name="search"),
    path("flights/<int:pk>/", schedule.flight, name="flight"),
    path("flights/<int:pk>/book/", bookings.book, name="book"),
    path("airports/<str:faa>/", schedule.airport, name="airport"),
    path("airports/<str:faa>/favourite/", account.favourite, name="favourite"),
    path("sign-up/", account.sign_up, name="sign-up"),
    path("sign-in/", account.SignInView.as_view(), name="sign-in"),
    path("sign-out/", account.sign_out_view, name="sign-out"),
    path("profile/", account.profile, name="profile"),
    path("bookings/", bookings.my_bookings, name="bookings"),
    path("bookings/<int:pk>/", bookings.booking, name="booking"),
    path("bookings/<int:pk>/cancel/", bookings.cancel, name="cancel"),
]
