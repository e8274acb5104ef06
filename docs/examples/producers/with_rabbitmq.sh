#!/bin/sh
# Tell the fleet an event with curl through RabbitMQ's management API:
# `with_rabbitmq.sh http://rabbitmq:15672 VHOST <event.json`, with VHOST as in a URL (%2F for /). The user and
# password stand in ~/.netrc.
set -eu
payload=$( { printf '[['; cat; printf '],{},{}]'; } | base64 | tr -d '\n')
id=$(cat /proc/sys/kernel/random/uuid)
printf '%s' "{\"routing_key\":\"events\",\"payload_encoding\":\"base64\",\"payload\":\"$payload\",\"properties\":{\"content_type\":\"application/json\",\"content_encoding\":\"utf-8\",\"delivery_mode\":2,\"headers\":{\"task\":\"events.accept\",\"id\":\"$id\",\"argsrepr\":\"\",\"kwargsrepr\":\"an event\"}}}" |
  curl --silent --show-error --fail --netrc --header 'content-type: application/json' --data @- \
    "$1/api/exchanges/$2/amq.default/publish" | grep -q '"routed":true'
