"""A coach for sports clubs: a Django site, an API that answers with language models, and what each club costs."""
