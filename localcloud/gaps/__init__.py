"""One AWS feature a module that MiniStack lacks; each is deleted when MiniStack has it."""
