"""Which replica is fresh enough?"""
