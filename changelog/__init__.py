"""What changed in CI: proposed by machines, published by people, asked by everyone."""
