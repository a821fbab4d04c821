"""The whole product on one machine: embedded services, web, worker and beat under one process."""
