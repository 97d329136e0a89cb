"""The page: what it tells and how it looks. Template, style, scripts and the specifications of charts lie here."""
