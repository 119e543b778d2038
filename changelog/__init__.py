"""What changed in CI: proposed, published, correlated. The room is reserved; its work is still to come."""
