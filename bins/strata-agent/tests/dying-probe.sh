#!/bin/sh
# A probe that knows a.mp4 and dies on everything else.
request=$(cat)
case $request in
*/a.mp4*) printf '{"file":{"path":"%s","duration_s":3}}\n' "$(printf %s "$request" | sed 's|.*"\([^"]*/a.mp4\)".*|\1|')" ;;
esac
kill -9 $$
