"""Readings: what sensors measured, one value of each channel at each tick of a clock.

`series` has `Readings` and the windows over them, `config` how files become readings
(`LogConfig`, `CatalogConfig`), `sensor_logs` reads logs and arrays, `catalog` earthquake
catalogues, `fdsn` downloads those, `etas` simulates them. `frames` and `columns` read CSV and
Parquet in the dialects that loggers and spreadsheets write.

Public: Readings, load_readings, LogConfig, CatalogConfig, SourceConfig, Catalog, read_catalog,
write_catalog, to_readings, EtasConfig, simulate.
"""
