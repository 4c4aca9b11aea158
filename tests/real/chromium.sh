# Headless, with its sandbox (user and pid namespaces, seccomp filters), as an ordinary user. What it says on stderr (there is no D-Bus
# here) differs from run to run.
as=
if [ "$(id -u)" = 0 ]; then
	as="setpriv --reuid=nobody --regid=nogroup --clear-groups"
	chmod 711 .; mkdir home; chown nobody home; cd home
fi
export HOME=$PWD
echo '<body><script>document.body.append(6 * 7, new Array(3).fill("x").join("-"))</script>' >page.html
$as chromium --headless --disable-gpu --user-data-dir="$PWD/profile" --dump-dom "file://$PWD/page.html" 2>errors; echo "chromium $?"
