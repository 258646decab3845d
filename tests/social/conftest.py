"""The service for the tests of a module together, and a tenant for each of them alone."""

from uuid import uuid4

import pytest

from tests.site import running


@pytest.fixture(scope="module")
def service(create_database, template, valkey_server, tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    with running(
        create_database(template), valkey_server, folder, RATE_LIMIT_PROFILE="off"
    ) as site:
        yield site


@pytest.fixture
def tenant():
    return f"t-{uuid4().hex}"


@pytest.fixture
def site(service, tenant):
    """The service, as the tenant of this test alone sees it."""
    return service.of(tenant)


@pytest.fixture
def ann(site):
    """Somebody of that tenant."""
    with site.client() as client:
        yield client
