"""Who may do what: sign-in, policy, audit, the display of counts, and the desk that people read at."""
