"""How fast and how frugal it is: ratios of things measured side by side, in one run. `python -m benchmarks`."""
