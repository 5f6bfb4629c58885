"""From kept scores to a verdict that can be published: a report, its pages, a model card, a comparison of two runs.

report.json      `report.Report`: everything that was found, and everything that somebody needs who doubts it
report.md, .html made from it alone, by `pages`
"""
