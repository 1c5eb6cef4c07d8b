"""Stand-alone programs, each run by the interpreter of a release."""
