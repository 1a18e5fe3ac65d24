"""``device doctor``: named checks in order, each with what was seen, the cause and the next step.

Nothing here changes a device or the cloud: the storage is opened for reading, and no message is
sent that makes AWS IoT do something. `device.doctor.examination` has the order of the checks.
"""
