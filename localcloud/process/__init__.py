"""The process that is the local AWS, its folder and ports; how others start, ask and stop it."""
