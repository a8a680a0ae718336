"""How a whole stack is super-resolved: one loop along z, in which each section is encoded once."""
