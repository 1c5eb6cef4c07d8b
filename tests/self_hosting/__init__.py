"""A cloud that hosts itself, under losses of its computers, again and again."""
