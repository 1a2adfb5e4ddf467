"""Tables, figures and the HTML page: takes results, computes no metrics."""
