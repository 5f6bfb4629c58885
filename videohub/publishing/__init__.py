"""What was found here for everybody, in repositories of the Hugging Face hub: reports, and proved weights.

`reports` sends a card and verification.json; `published_weights` sends weights as they are kept here and as
transformers has them, if their licence allows it.
"""
