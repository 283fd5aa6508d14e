"""What is stored where: list, plan, read, match."""
