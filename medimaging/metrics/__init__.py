"""What Prometheus is told: of each process what it has done, and once how the whole site is."""
