"""Compare the cost of the batch job and the trainer with what a user would write without them."""
