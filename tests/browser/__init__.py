"""What people see, in a real browser. ``make test-browser`` runs it; ``make test`` does not."""

import pytest

pytest.register_assert_rewrite("tests.browser.looks")
