"""The address of the broker as kombu is given it, for RabbitMQ and Redis."""

from config.server_urls import nodes_of, tls_options, without_query
from workers.broker.rabbitmq.topology import is_rabbitmq


def driver_url(url: str) -> str:
    """Return an address that names the driver, and that asks for the certificate to be verified.

    At `amqp://` kombu looks for another driver first, by an import that fails, for each new connection. A process
    of the pool that is forked while a thread of the worker does so inherits the lock of that import, and would wait
    for it for ever when it first sends something.

    At `rediss://` without options kombu verifies no certificate: the option that verifies it is added.
    """
    if not is_rabbitmq(url):
        needs_check = url.startswith("rediss://") and not tls_options(url)
        return f"{url}{'&' if '?' in url else '?'}ssl_cert_reqs=required" if needs_check else url
    nodes = nodes_of(without_query(url))
    return ";".join(f"py{node}" if node.startswith("amqp://") else node for node in nodes)
