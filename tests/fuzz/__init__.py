"""What comes from outside, at random. Short and the same each time in `make test`; `make fuzz` goes on for long."""
