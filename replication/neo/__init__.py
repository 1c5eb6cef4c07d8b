"""What imports NEO; the port of NEO itself is below ``port``, and is not imported."""
