"""The programs of all partitions: the port to supervision, and supervisord."""
