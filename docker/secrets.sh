#!/bin/sh
# secrets.sh [FOLDER] - makes the secrets that compose.yml hands to the containers, in docker/secrets/ if no folder is given. What is there
# already stays: run it as often as you like.
#
# The files can be read by anyone, the folder by its owner alone: a container gets single files out of it, and no process in one is root.
set -eu
folder=${1:-$(dirname "$0")/secrets}
umask 022
mkdir -p "$folder"
chmod 700 "$folder"

hex() { od -An -v -N32 -tx1 /dev/urandom | tr -d ' \n'; }

# put NAME TEXT: complete or not at all.
put() {
  printf '%s\n' "$2" >"$folder/.$1"
  chmod 444 "$folder/.$1"
  mv "$folder/.$1" "$folder/$1"
  echo "made $folder/$1"
}

[ -e "$folder/postgres_password" ] || put postgres_password "$(hex)"
[ -e "$folder/database_url" ] || put database_url "postgresql://deskmill:$(cat "$folder/postgres_password")@postgres:5432/deskmill"
[ -e "$folder/redis.conf" ] || put redis.conf "requirepass $(hex)"
[ -e "$folder/redis_url" ] || put redis_url "redis://:$(sed -n 's/^requirepass //p' "$folder/redis.conf")@redis:6379/0"
[ -e "$folder/seal_key" ] || put seal_key "$(hex)"
[ -e "$folder/api_key" ] || put api_key "$(hex)"
