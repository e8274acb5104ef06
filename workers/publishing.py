"""Messages go out whole: what the ledger kept is put on a queue again under its own id, byte for byte."""

import contextlib
import hashlib
import json
from base64 import b64decode
from collections.abc import Callable, Iterator
from typing import Any

import celery
import redis
from amqp.exceptions import AMQPError
from kombu.exceptions import EncodeError, KombuError
from kombu.transport import redis as kombu_redis

from config.queues import redis_lists
from config.server_urls import mask_url
from purser.errors import Transient
from store import DeadLetter, DelayedMessage
from workers.broker.rabbitmq import topology
from workers.context import Publisher
from workers.dead_letters.replay_one import fresh_headers


def publisher(app: celery.Celery) -> Publisher:
    """Return what puts a task on its queue."""

    def publish(task: str, kwargs: dict[str, Any], *, label: str, **options: Any) -> None:
        with translated(app, task):
            app.send_task(task, kwargs=kwargs, argsrepr="", kwargsrepr=label, **options)

    return publish


@contextlib.contextmanager
def translated(app: celery.Celery, what: str) -> Iterator[None]:
    """Raise Transient for a broker that does not take a message, whatever its library calls that."""
    try:
        yield
    except EncodeError:
        raise
    except (KombuError, AMQPError, redis.RedisError, OSError) as error:
        broker = mask_url(app.conf.broker_url)
        raise Transient(
            f"the broker at {broker} did not take `{what}`: {app.fleet.redactor.text(str(error))}"
        ) from error


def resender(app: celery.Celery) -> Callable[[DeadLetter], None]:
    """Return what puts a letter's message back on its queue."""

    def resend(letter: DeadLetter) -> None:
        _publish(
            app,
            letter.body,
            queue=letter.queue,
            content_type=letter.content_type,
            content_encoding=letter.content_encoding,
            headers=fresh_headers(letter),
        )

    return resend


def sender(app: celery.Celery) -> Callable[[DelayedMessage], None]:
    """Return what puts a delayed message on its queue, where the ledger cannot do it itself."""

    def send(entry: DelayedMessage) -> None:
        envelope = json.loads(entry.payload)
        _publish(
            app,
            b64decode(envelope["body"]),
            queue=entry.queue,
            content_type=envelope["content-type"],
            content_encoding=envelope["content-encoding"],
            headers=envelope["headers"],
        )

    return send


def _publish(app: celery.Celery, body: bytes, *, queue: str, headers: dict[str, Any], **options: Any) -> None:
    known = app.amqp.queues.get(queue)
    with translated(app, f"a message for {queue}"), app.producer_or_acquire() as producer:
        producer.publish(
            body,
            exchange="",
            routing_key=queue,
            declare=[] if known is None else [known],
            headers=headers,
            retry=True,
            retry_policy=app.conf.task_publish_retry_policy,
            correlation_id=headers.get("id"),
            delivery_mode=2,
            **options,
        )


def depth_of(app: celery.Celery) -> Callable[[str], tuple[int, bytes | None]]:
    """Return what tells how many messages wait on a queue and, where one can look, a mark of the next one."""

    def depth(queue: str) -> tuple[int, bytes | None]:
        with app.pool.acquire(block=True) as connection:
            channel = connection.default_channel
            if isinstance(channel, kombu_redis.Channel):
                with channel.conn_or_acquire() as client:
                    pipe = client.pipeline(transaction=False)
                    for name in redis_lists(queue):
                        pipe.llen(name).lindex(name, -1)
                    found = pipe.execute()
                following = next((one for one in found[1::2] if one is not None), b"")
                return sum(found[::2]), hashlib.sha1(following, usedforsecurity=False).digest()
            return topology.depth(connection, queue) or 0, None

    return depth
