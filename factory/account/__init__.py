"""What there is in the AWS account, one resource a file; it knows no device."""
