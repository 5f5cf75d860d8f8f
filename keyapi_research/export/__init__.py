"""Results that leave the notebook: CSV, Excel and Parquet files, data packages, study archives, SQL."""

from .csv import read_csv, write_csv
from .data_package import read_package, write_package
from .excel import read_excel, write_excel
from .freezing import Frozen, freeze
from .parquet import read_parquet, write_parquet
from .parquet_store import Exported, export_store

__all__ = [
    "Exported",
    "Frozen",
    "export_store",
    "freeze",
    "read_csv",
    "read_excel",
    "read_package",
    "read_parquet",
    "write_csv",
    "write_excel",
    "write_package",
    "write_parquet",
]
