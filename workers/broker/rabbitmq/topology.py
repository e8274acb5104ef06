"""RabbitMQ as a broker from which nothing gets lost: quorum queues, confirmed messages, and one queue for the dead.

The address of the broker (`amqp://`, `amqps://`) is all that has to be set. The broker counts how often it delivered
a message; what it gives up waits on the queue `purser.dead` until a worker has made a letter of it (`rabbit_dead`).
"""

import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from kombu.entity import Exchange, Queue

from config.queues import QUEUES
from config.server_urls import heartbeat_of, nodes_of, tls_options
from config.settings import Settings
from purser.errors import ConfigurationError, Misconfigured
from workers.broker.rabbitmq.amqp_connection import TIMEOUT_SECONDS
from workers.broker.redis.channel import MAX_DELIVERIES

DEAD = "purser.dead"
HEARTBEAT = 15.0
"""Seconds between signs of life; a broker or worker that misses two of them counts as dead."""

_FOR_EVER = 2**31 - 1
"""More deliveries than there will be: RabbitMQ 4 would else throw a letter away after twenty."""


def is_rabbitmq(url: str) -> bool:
    """Return whether an address is one of a RabbitMQ."""
    return urlsplit(url).scheme in ("amqp", "amqps", "pyamqp")


def tls_of(url: str) -> dict[str, Any] | bool:
    """Return what py-amqp is told about TLS: the options of an `amqps://` address, in its own names.

    Where the address names one server, that server's certificate must be for its host.
    """
    if not url.startswith("amqps://"):
        return False
    told = tls_options(url)
    if not told:
        return True
    names = {"ssl_ca_certs": "ca_certs", "ssl_certfile": "certfile", "ssl_keyfile": "keyfile"}
    options: dict[str, Any] = {own: told[name] for name, own in names.items() if name in told}
    options["cert_reqs"] = _CERT_REQS[told.get("ssl_cert_reqs", "required")]
    checks_host = told.get("ssl_check_hostname", "true").lower() != "false"
    nodes = nodes_of(url)
    if checks_host and len(nodes) == 1 and options["cert_reqs"] is not ssl.CERT_NONE:
        options["server_hostname"] = urlsplit(nodes[0]).hostname
    return options


_CERT_REQS = {"required": ssl.CERT_REQUIRED, "optional": ssl.CERT_OPTIONAL, "none": ssl.CERT_NONE}


def settings_for(settings: Settings) -> dict[str, Any]:
    """Return Celery's settings for RabbitMQ. Raises ConfigurationError if tasks may outlast the consumer timeout."""
    check_limits(settings)
    return {
        "broker_use_ssl": tls_of(settings.broker),
        "broker_heartbeat": heartbeat_of(settings.broker, HEARTBEAT),
        "broker_connection_timeout": 5,
        "broker_transport_options": {
            "confirm_publish": True,
            "write_timeout": TIMEOUT_SECONDS,
            "client_properties": {"connection_name": "purser"},
        },
        "broker_channel_error_retry": True,
        "task_queues": work_queues(),
        "task_default_queue_type": "quorum",
        "worker_detect_quorum_queues": True,
        # Its messages went to others with the connection: what still runs here would run twice at a time.
        "worker_cancel_long_running_tasks_on_connection_loss": True,
    }


WORK_ARGUMENTS = {
    "x-queue-type": "quorum",
    "x-delivery-limit": MAX_DELIVERIES,
    "x-dead-letter-exchange": DEAD,
    "x-dead-letter-strategy": "at-least-once",
    "x-overflow": "reject-publish",
}
"""Queues made with other arguments cannot be used; see `declare`."""


def dead_queue() -> Any:
    """Describe the queue on which everything waits that the broker has given up."""
    return _queue(DEAD, _exchange(DEAD, "fanout"), "", {"x-queue-type": "quorum", "x-delivery-limit": _FOR_EVER})


def work_queues() -> list[Any]:
    """Describe the queues on which work waits."""
    exchange = _exchange("purser", "direct")
    return [_queue(name, exchange, name, WORK_ARGUMENTS) for name in QUEUES]


def _exchange(name: str, kind: str) -> Any:
    make: Any = Exchange
    return make(name, type=kind, durable=True)


def _queue(name: str, exchange: Any, key: str, arguments: Mapping[str, Any]) -> Any:
    make: Any = Queue
    return make(name, exchange, routing_key=key, durable=True, queue_arguments=dict(arguments))


def check_limits(settings: Settings) -> None:
    """Raise ConfigurationError when RabbitMQ could take a message away from a worker that is still at it.

    A worker holds one message of each queue for each of its processes, so the last of them waits for the others.
    """
    longest = len(QUEUES) * settings.task_time_limit
    if longest >= settings.rabbitmq_consumer_timeout:
        raise ConfigurationError(
            f"PURSER_TASK_TIME_LIMIT ({settings.task_time_limit} s) is too long for this RabbitMQ: a message may "
            f"wait for {len(QUEUES) - 1} others and then run, {longest} s in all, and RabbitMQ takes it away after "
            f"PURSER_RABBITMQ_CONSUMER_TIMEOUT ({settings.rabbitmq_consumer_timeout} s). Shorten the limit, or raise "
            "`consumer_timeout` in rabbitmq.conf (there in milliseconds) and this setting with it"
        )


# ---------------------------------------------------------------------------------- queues --


def declare(connection: Any) -> None:
    """Make what the fleet needs on the broker, where it is not there yet.

    Misconfigured says what to do about a queue that is there and cannot be used.
    """
    for queue in (dead_queue(), *work_queues()):
        with connection.channel() as channel, _in_words(queue.name, connection):
            queue(channel).declare()


def unusable(connection: Any) -> list[str]:
    """Return what is wrong with the queues that are there; nothing is made."""
    problems = []
    for queue in (dead_queue(), *work_queues()):
        if depth(connection, queue.name) is None:
            continue
        try:
            with connection.channel() as channel, _in_words(queue.name, connection):
                queue(channel).queue_declare()
        except Misconfigured as error:
            problems.append(str(error))
    return problems


@contextmanager
def _in_words(queue: str, connection: Any) -> Iterator[None]:
    try:
        yield
    except connection.channel_errors as error:
        if getattr(error, "reply_code", None) != _PRECONDITION_FAILED:
            raise
        told = re.sub(r"the value (\S+) of type '\w+'", r"\1", str(error))
        differs = re.search(r"inequivalent arg '([^']+)'.*?received (.*?) but current is (.*)", told)
        how = f" ({differs[1]} is {differs[3]}, and should be {differs[2]})" if differs else f" ({told})"
        raise Misconfigured(
            f"the queue {queue} is there with other settings{how}, and RabbitMQ changes none of a queue that exists. "
            f"Let the fleet work it off, stop the fleet, remove the queue (`rabbitmqctl delete_queue {queue}`), and "
            "start again; or give the fleet a virtual host of its own"
        ) from error


_PRECONDITION_FAILED = 406
_NOT_FOUND = 404


def depth(connection: Any, queue: str) -> int | None:
    """Count what waits on a queue, without the messages that workers hold; None when there is no such queue."""
    try:
        with connection.channel() as channel:
            return int(channel.queue_declare(queue, passive=True).message_count)
    except connection.channel_errors as error:
        if getattr(error, "reply_code", None) == _NOT_FOUND:
            return None
        raise
