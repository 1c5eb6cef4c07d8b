"""What instances may ask of the computer beyond their partition."""
