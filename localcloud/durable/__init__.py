"""Nothing that was answered is lost, however the process ends.

MiniStack keeps its state in memory and writes it, whole services at a time, when it is asked to
stop. Here

- `watched` notes which records a request or a connection has looked at or changed,
- `journal` appends those that differ to a file before the answer leaves, and brings the file of a
  killed process into the saved state at the next start,
- `state_files` writes whole services, once in a while, after which the journal begins again,
- `keeper` puts the three together.

A record that was written is safe from the end of the process, not from that of the machine: a
``write`` is in the kernel's hands. That is what ``kill -9`` asks for, and it costs microseconds.
"""
