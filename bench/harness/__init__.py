# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks share: meters, loads, the programs compared, tables."""
