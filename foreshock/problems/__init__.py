"""Problems: labelled series and their parts, where they come from and what is wrong."""
