"""The scenarios: one module each, with DESCRIPTION, HOSTS and `run(lab)`."""
