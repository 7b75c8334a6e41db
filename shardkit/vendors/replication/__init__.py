"""What does each vendor say about where it is, and how far a replica has followed?"""
