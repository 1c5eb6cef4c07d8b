"""What was consumed: measured, added up by days, written down for the master."""
