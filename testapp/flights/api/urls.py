"""Which addresses does the API have?"""

from __future__ import annotations

from rest_framework.routers import DefaultRouter

from testapp.flights.api import views

router = DefaultRouter()
router.register("airlines", views.AirlineViewSet)
router.register("airports", views.AirportViewSet)
router.register("planes", views.PlaneViewSet)
router.register("flights", views.FlightViewSet)
router.register("timetable", views.TimetableViewSet, basename="timetable")
router.register("feed", views.FeedViewSet, basename="feed")
router.register("weather", views.WeatherViewSet)
router.register("bookings", views.BookingViewSet)

urlpatterns = router.urls
