"""Building blocks that every system shares. They know nothing of recipes, budgets or speech systems."""
