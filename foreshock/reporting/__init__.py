"""Reporting: from the files of runs to pages, pictures and model cards. No torch."""
