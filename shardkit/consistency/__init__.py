"""What must this caller see?"""
