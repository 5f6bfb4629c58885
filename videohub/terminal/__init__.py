"""What verbs share at a terminal: how everything looks, their options, and a report as verify and report print it."""
