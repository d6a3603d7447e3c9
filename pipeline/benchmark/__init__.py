"""What the batch job and the trainer cost, beside what a user would write without them."""
