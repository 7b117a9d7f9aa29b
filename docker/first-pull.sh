#!/bin/sh
# first-pull - registers the demo desk with the api, unless that has been done, and pulls it. Safe to run again.
set -eu
deskmill org list --json | grep -q '"demo"' || deskmill org add demo --name 'Demo company'
deskmill integration list --json | grep -q '"desk"' ||
  echo "${VENDORSIM_TOKEN:-sim-token}" | deskmill integration add demo/desk --vendor pylon --base-url "${VENDORSIM_URL:-http://vendorsim:8090}" --token - \
    --settings '{"limits": {"search": 6000, "messages": 6000, "accounts": 6000, "contacts": 6000, "users": 6000}}'
deskmill pull demo/desk --follow
