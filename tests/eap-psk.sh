#!/usr/bin/env bash
# Another implementation of EAP-PSK than ours, Debian's: hostapd is the server, eapol_test the peer. What they derive and
# say in one conversation with keys of this run goes to the tests of `plc`, which must come to the same octet by octet,
# and to tests/eap-psk.py. `tests/eap-psk.sh FILE` keeps the transcript: plc/tests/data/eap-psk-hostapd.txt is one.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin
hostapd=${HOSTAPD:-$(command -v hostapd || true)}
eapol_test=${EAPOL_TEST:-$(command -v eapol_test || true)}
if [ -z "$hostapd" ] || [ -z "$eapol_test" ]; then
    echo "skipped: no hostapd or no eapol_test (Debian: hostapd, eapoltest)"
    exit 0
fi

dir=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$dir"' EXIT
hex() { od -An -tx1 -v | tr -d ' \n'; }
psk=$(head -c 16 /dev/urandom | hex)
id_p=$(head -c 4 /dev/urandom | hex)
id_s="server $RANDOM"
port=$((20000 + RANDOM % 20000))
cat >"$dir/hostapd.conf" <<END
driver=none
interface=none0
radius_server_clients=$dir/clients
radius_server_auth_port=$port
eap_server=1
eap_user_file=$dir/users
server_id=$id_s
END
echo "127.0.0.1 secret" >"$dir/clients"
echo "\"$id_p\" PSK $psk" >"$dir/users"
cat >"$dir/peer.conf" <<END
network={
    key_mgmt=IEEE8021X
    eap=PSK
    identity="$id_p"
    password=$psk
}
END
"$hostapd" -dd -K "$dir/hostapd.conf" >"$dir/server.log" 2>&1 &
server=$!
for _ in $(seq 50); do
    grep -q "AP-ENABLED\|Setup of interface done\|interface state" "$dir/server.log" && break
    sleep 0.1
done
"$eapol_test" -c "$dir/peer.conf" -a 127.0.0.1 -p "$port" -s secret >"$dir/peer.log" 2>&1 || {
    echo "eapol_test did not succeed:" >&2
    tail -5 "$dir/peer.log" >&2
    exit 1
}

# The octets that a log shows behind a name, the first time or the last.
shown() { grep -m1 -F "EAP-PSK: $2 - hexdump" "$dir/$1.log" | sed 's/.*): *//' | tr -d ' '; }
identifier=$(sed -n 's/.*PCHANNEL - hdr - hexdump(len=5): 01 \(..\) .*/\1/p' "$dir/peer.log" | head -1)
transcript=$dir/transcript.txt
{
    echo "# One conversation of hostapd and eapol_test, kept by tests/eap-psk.sh. Source: their logs, numbers of a run of ours."
    echo "PSK $psk"
    echo "ID_S $(printf %s "$id_s" | hex)"
    echo "ID_P $(printf %s "$id_p" | hex)"
    echo "AK $(shown server AK)"
    echo "KDK $(shown server KDK)"
    echo "TEK $(shown server TEK)"
    echo "RAND_S $(shown server 'RAND_S (server rand)')"
    echo "RAND_P $(shown server 'RAND_P (client rand)')"
    echo "MAC_P $(shown server MAC_P)"
    echo "MAC_S $(shown peer MAC_S)"
    echo "identifier $identifier"
    echo "channel 3 $(shown peer PCHANNEL)"
    echo "channel 4 $(shown server 'Encrypted PCHANNEL')"
} >"$transcript"

value() { sed -n "s/^$1 //p" "$transcript"; }
if python3 -c 'import cryptography' 2>/dev/null; then
    theirs="$(value AK) $(value KDK) $(value TEK)"
    ours=$(tests/eap-psk.py keys "$psk" "$(value RAND_P)")
    [ "$ours" = "$theirs" ] || { echo "tests/eap-psk.py: $ours, hostapd: $theirs" >&2; exit 1; }
else
    echo "skipped: tests/eap-psk.py, no Python package cryptography"
fi
EAP_PSK_TRANSCRIPT=$transcript cargo test -q -p plc --lib another_implementation
if [ $# -gt 0 ]; then cp "$transcript" "$1"; fi
echo "AK, KDK, TEK, MAC_P, MAC_S and both protected messages agree"
