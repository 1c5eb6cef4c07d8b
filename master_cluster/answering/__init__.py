"""How each method of SLAP is answered; a module for each noun, one table of all."""
