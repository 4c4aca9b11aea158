# sshd on the loopback with its seccomp sandbox, and one login that runs a command. Everything it needs is in this directory,
# but for root's /run/sshd (it must exist, and be empty) and the package's user sshd.
[ "$(id -u)" != 0 ] || mkdir -p /run/sshd
ssh-keygen -q -t ed25519 -N '' -f host
ssh-keygen -q -t ed25519 -N '' -f key
cp key.pub authorized_keys

mkfifo said
started=
until [ "$started" ]; do # somebody else may take the port first
	port=$(/usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
	printf '%s\n' "Port $port" "ListenAddress 127.0.0.1" "HostKey $PWD/host" "AuthorizedKeysFile $PWD/authorized_keys" \
		"PidFile none" "UsePAM no" "StrictModes no" "LoginGraceTime 0" >conf
	"$(command -v sshd)" -D -e -f "$PWD/conf" 2>said & server=$!
	exec 3<said
	while [ ! "$started" ] && read -r line <&3; do
		case $line in "Server listening"*) started=yes ;; esac
	done
done
ssh -F none -i key -p "$port" -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile="$PWD/known" -o LogLevel=ERROR \
	127.0.0.1 'echo hello from $0; exit 3' </dev/null
echo "login $?"
kill $server; wait $server; echo "sshd $?"
grep -o '^Accepted publickey' <&3
