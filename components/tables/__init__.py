"""One tolerant reader for every table that a person brings, which says of each row what it did."""
