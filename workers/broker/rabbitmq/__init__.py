"""The RabbitMQ transport: topology, connections and dead-letter queues."""
