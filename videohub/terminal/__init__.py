"""What people see in a terminal: one file for each group of verbs, and how everything looks."""
