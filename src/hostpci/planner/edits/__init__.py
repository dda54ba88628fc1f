"""Edits of the host's own files as pure functions, text to text.

Each keeps every byte that it is not asked to change, does nothing where there is nothing to do,
and raises EditError for a text that it cannot understand: that becomes a finding, never a guess.
"""
