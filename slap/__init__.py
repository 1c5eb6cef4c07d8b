"""What the SLAP protocol says, without IO: values, methods, codecs, errors, calls."""
