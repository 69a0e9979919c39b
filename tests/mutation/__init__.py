"""Would the tests notice a small mistake in the rules?"""
