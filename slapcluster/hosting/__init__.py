"""What the release master-cluster runs in its instances: one for each region."""
