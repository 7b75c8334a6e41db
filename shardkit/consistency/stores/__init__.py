"""Where are tokens kept between one request and the next?"""
