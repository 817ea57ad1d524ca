"""What a cell says: the magics `%%workflow` and `%workflow`."""
