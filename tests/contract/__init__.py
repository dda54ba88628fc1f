"""What real PVE code answered, question by question; skipped where the answers are not at hand."""
