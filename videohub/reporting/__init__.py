"""What a run came to, for people: a report, its pages, a model card, a comparison of two runs.

report.json         `report.Report`: everything that was found, and everything that somebody needs who doubts it
report.md, .html    made from it alone, by `pages` and `templates/`
verification.json   likewise: the number with all that it takes to check it, to be cited; `verification_file` replays it
README.md           a model card for the Hugging Face hub, likewise, by `cards`
"""
