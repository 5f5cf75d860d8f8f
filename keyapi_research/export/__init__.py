"""Results that leave the notebook: CSV files, data packages, study archives."""

from .csv_file import read_csv, write_csv

__all__ = ["read_csv", "write_csv"]
