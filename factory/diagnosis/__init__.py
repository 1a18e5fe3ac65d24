"""Why AWS IoT refuses a device, and what is wrong in an account: reads, and changes nothing."""
