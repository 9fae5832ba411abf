"""What is handed to people who were not in the room: memo, email and audit; values in, text out."""
