#!/bin/sh
# Tell the fleet an event with redis-cli: `with_redis_cli.sh redis://broker:6379/0 <event.json`. A password
# stands in REDISCLI_AUTH. The event goes through stdin, so what it says stands in no list of processes.
set -eu
uuid() { cat /proc/sys/kernel/random/uuid; }
body=$( { printf '[['; cat; printf '],{},{}]'; } | base64 | tr -d '\n')
printf '%s' "{\"body\":\"$body\",\"content-type\":\"application/json\",\"content-encoding\":\"utf-8\",\"headers\":{\"task\":\"events.accept\",\"id\":\"$(uuid)\",\"argsrepr\":\"\",\"kwargsrepr\":\"an event\"},\"properties\":{\"body_encoding\":\"base64\",\"delivery_info\":{\"exchange\":\"\",\"routing_key\":\"events\"},\"delivery_mode\":2,\"delivery_tag\":\"$(uuid)\"}}" |
  redis-cli -u "$1" -e -x LPUSH events
