"""Readings: what sensors measured, out of files and catalogues, and windows over them."""
