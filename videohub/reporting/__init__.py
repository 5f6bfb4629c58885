"""What a run came to, for people: a report, its pages, a model card, a comparison of two runs.

report.json         `report.Report`: everything that was found, and everything that somebody needs who doubts it
report.md, .html    made from it alone, by `pages` and `templates/`
verification.json   likewise: the number with all that it takes to check it, to be cited; `verification_file` replays it
README.md           a model card for the Hugging Face hub, likewise, by `cards`
"""

from videohub.reporting import pages
from videohub.reporting.report import Evaluated, Report

# A document knows no pages; a notebook, which asks it how to show it, is given one.
Report._repr_markdown_ = pages.markdown
Evaluated._repr_markdown_ = pages.numbers_in_markdown
