"""Where changes are read: GitHub, Mercurial, any git. The only place of the change log that speaks to the network."""
