"""Results that leave the notebook: CSV files, data packages, study archives."""

from .csv import read_csv, write_csv
from .data_package import read_package, write_package
from .study import Frozen, freeze

__all__ = ["Frozen", "freeze", "read_csv", "read_package", "write_csv", "write_package"]
