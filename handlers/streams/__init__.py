"""What is told as it happens: rows as they are stored, to those who wait for them on websockets."""
