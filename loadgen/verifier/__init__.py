"""The proof that nothing was lost, repeated or changed on the way."""
