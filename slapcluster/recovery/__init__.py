"""A cloud that goes on from a backup, or from what one storage node has left."""
