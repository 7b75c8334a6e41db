"""How far has a database got?"""
