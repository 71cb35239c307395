"""Generator of synthetic clothed, textured, posed people made of CC0 parts."""
