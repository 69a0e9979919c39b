"""What a person should look at: what happens too often in too short a time becomes an alert, raised once and cleared once."""
