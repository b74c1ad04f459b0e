"""Taking a client's connection over from the server that accepted it."""
