"""Hypothesis for the suite: repeatable, unless HYPOTHESIS_PROFILE=explore asks for more."""

import os

# Tests run side by side (-n 2): BLAS threads of their own would only be in each other's way.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from hypothesis import HealthCheck, settings

# The first example of a unit pays for its elaboration.
_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]

settings.register_profile(
    "repeatable", deadline=None, derandomize=True, database=None, suppress_health_check=_SLOW
)
settings.register_profile("explore", deadline=None, print_blob=True, suppress_health_check=_SLOW)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))
