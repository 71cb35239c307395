"""From trained networks in torch to a bundle that needs no torch: export, verification, packaging."""
