"""Readings: what sensors measured, one value of each channel at each tick of a clock.

`series` has `Readings` of one or more units and the windows over them, `config` how files become
readings (`LogConfig`, `CatalogConfig`), `sensor_logs` reads logs and arrays, `resampling` puts
their rows on a clock, unit by unit, `samples` are logs that come with the package; `catalog` reads
earthquake catalogues, `fdsn` downloads those, `etas` simulates them. `frames` and `columns` read
CSV and Parquet in the dialects that loggers and spreadsheets write.

Public: Readings, Units, stack, load_readings, read_events, LogConfig, CatalogConfig, SourceConfig,
Catalog, read_catalog, write_catalog, to_readings, EtasConfig, simulate.
"""
