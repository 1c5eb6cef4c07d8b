"""Other agents on the computer: stock ones, and further ones of ours."""
