"""How a run shows that it lives, how it hears that it is to end, and how one that died silently is found."""
