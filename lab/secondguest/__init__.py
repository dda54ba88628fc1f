"""The small guest that a lab host starts itself, with the card: what it is made of."""
