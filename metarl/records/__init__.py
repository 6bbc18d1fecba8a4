"""What is kept of finished runs: records, and the tables and comparisons that are made of them."""
