"""What changed before this broke? The answer, its suspects with reasons, and what people judged."""
