"""Making a device: an order, its key and certificate, and devices that wait for AWS."""
