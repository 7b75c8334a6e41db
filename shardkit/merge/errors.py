"""What keeps rows of several databases from being put in order here?

These two never reach an application: the caller asks the database again, more carefully, or lets one database sort.
"""

from __future__ import annotations


class OrderUnknown(Exception):
    """Nobody but a database that holds all the rows can put them in order."""


class Uncertain(Exception):
    """The values are not of the type that the model promises; their types have to be asked for."""
