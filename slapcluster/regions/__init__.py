"""A NEO cluster of regions of this computer: ``slapcluster storage create`` and on."""
