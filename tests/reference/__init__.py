"""Slow, obvious NumPy versions of the core's operators. They share no idea of speed with what they check."""
