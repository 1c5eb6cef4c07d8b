"""What must be true of every history, each as a function that can say no."""
