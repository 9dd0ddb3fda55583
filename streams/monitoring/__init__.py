"""What operators see: metrics, the admin port, and the doctor."""
