"""From lines of logs to causes. Pure: lines and facts go in, diagnoses come out."""
