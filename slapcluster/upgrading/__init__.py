"""How a cloud that hosts itself takes up another release of its master."""
