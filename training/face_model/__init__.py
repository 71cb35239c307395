"""Builds the morphable face model from the generator's bodies and says what a body's true face is."""
