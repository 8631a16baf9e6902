WORD = "and deeper"
