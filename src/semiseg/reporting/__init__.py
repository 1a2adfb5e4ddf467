"""Tables, figures and HTML pages of results. No metrics are computed here."""
