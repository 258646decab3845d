"""The service for the tests of a module together, and a tenant for each of them alone."""

import pytest

from tests.site import running


@pytest.fixture(scope="module")
def site(create_database, template, valkey_server, tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    with running(
        create_database(template), valkey_server, folder, RATE_LIMIT_PROFILE="off"
    ) as site:
        yield site


@pytest.fixture
def tenant(request):
    return request.node.originalname.replace("test_", "t-")[:60]


@pytest.fixture
def ann(site, tenant):
    """Somebody of a tenant of this test alone."""
    with site.client(tenant=tenant) as client:
        yield client
