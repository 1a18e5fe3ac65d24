"""The manufacturing station: prepares the cloud for a method and fills devices."""
