"""What a person runs: the command line, replay, workflow files, imports, the demo."""
