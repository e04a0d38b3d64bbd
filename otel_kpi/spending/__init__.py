"""What language models cost, for a person who asks: read from where the series are kept, added up, compared.

`period` knows which time is meant, `source` where it is read, `report` what comes of it, `text` how it looks.
"""
