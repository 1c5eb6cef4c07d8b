"""The agent of a computer: builds releases, runs instances, reports to the master."""
