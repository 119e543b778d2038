"""The benchmark: what ciduty costs, beside a floor measured in the same run. Nothing here is a test."""
