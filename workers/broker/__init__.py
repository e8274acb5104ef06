"""The broker's side: how messages are taken, held, given back and set aside, on Redis and on RabbitMQ."""
