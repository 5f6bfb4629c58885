"""What a run came to, for people: a report, its pages, a model card, a comparison of two runs.

report.json         `report.Report`: everything that was found, and everything that somebody needs who doubts it
report.md, .html    made from it alone, by `pages` and `templates/`
verification.json   likewise: the number with all that it takes to check it, to be cited; `verification_file` replays it
README.md           a model card for the Hugging Face hub, likewise, by `cards`
"""

from videohub.reporting.report import Evaluated, Report


def _markdown(report: Report) -> str:
    from videohub.reporting import pages  # and templates, for whom a page is shown

    return pages.markdown(report)


def _numbers(evaluated: Evaluated) -> str:
    from videohub.reporting import pages

    return pages.numbers_in_markdown(evaluated)


# A document knows no pages; a notebook, which asks it how to show it, is given one.
Report._repr_markdown_ = _markdown
Evaluated._repr_markdown_ = _numbers
