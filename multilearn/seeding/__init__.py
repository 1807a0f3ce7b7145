"""One seed: what is drawn from it, and the generators that it sets."""
