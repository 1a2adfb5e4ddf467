"""Tables, figures, the HTML page, and what is said on the terminal."""
