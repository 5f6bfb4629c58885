"""What was found here for everybody: reports in repositories of the Hugging Face hub."""
